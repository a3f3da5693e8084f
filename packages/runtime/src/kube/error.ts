// A refusal by the Kubernetes API, with the reason word of its Status object.

export class KubeError extends Error {
  override readonly name = 'KubeError'
  /** HTTP status, or the code of a watch's ERROR event. */
  readonly status: number
  /** Kubernetes' reason: NotFound, Conflict, Expired, Forbidden, AlreadyExists …; empty if the server gave none. */
  readonly reason: string
  /** The server's own words, without what was asked of it. */
  readonly detail: string

  constructor(status: number, reason: string, detail: string, what?: string) {
    super(
      what === undefined ? detail : [`${what}: ${status}${reason && ` ${reason}`}`, detail].filter(Boolean).join(': '),
    )
    this.status = status
    this.reason = reason
    this.detail = detail
  }
}

/** Whether the API answered with this HTTP status. */
export function isStatus(cause: unknown, status: number): cause is KubeError {
  return cause instanceof KubeError && cause.status === status
}

/** Makes the error of a Status object, or of any other body, that came with `status`. */
export function kubeError(status: number, body: unknown, what: string): KubeError {
  const object = typeof body === 'object' && body !== null ? (body as { reason?: unknown; message?: unknown }) : {}
  const reason = typeof object.reason === 'string' ? object.reason : ''
  const text = typeof object.message === 'string' ? object.message : typeof body === 'string' ? body.slice(0, 300) : ''
  return new KubeError(status, reason, text, what)
}

/** The text of whatever was thrown, with its causes' texts. */
export function messageOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  const code = (cause as NodeJS.ErrnoException).code
  const own = cause.message !== '' ? cause.message : (code ?? cause.name)
  return cause.cause instanceof Error && !own.includes(cause.cause.message) ? `${own}: ${messageOf(cause.cause)}` : own
}
