// Reasons to RST_STREAM codes and back.
import { MeshError, type MeshErrorAt, type MeshErrorCode } from '@wishbone/core/errors'
import { errorCodes, type Goaway } from '@wishbone/core/h2'

const codeOf: Partial<Record<MeshErrorCode, number>> = {
  'protocol-error': errorCodes.protocolError,
  internal: errorCodes.internalError,
}

/**
 * CONNECT_ERROR unless there is a better word: it is what a proxy says when the TCP connection has failed (RFC 9113 §8.5), and it
 * keeps a peer from taking what it got so far for the whole, as CANCEL would (ambient wire §1.8).
 */
export function resetCodeOf(reason: MeshError): number {
  return codeOf[reason.code] ?? errorCodes.connectError
}

const names = new Map<number, string>(
  Object.entries(errorCodes).map(([name, code]) => [code, name.replace(/[A-Z0-9]+/g, '_$&').toUpperCase()]),
)

export function nameOfCode(code: number): string {
  return names.get(code) ?? `error ${code}`
}

/** What a peer's RST_STREAM means; undefined for the codes that read as an end. */
export function errorOfReset(code: number, at: MeshErrorAt): MeshError | undefined {
  if (code === errorCodes.noError || code === errorCodes.cancel) return undefined
  const name = nameOfCode(code)
  if (code === errorCodes.refusedStream) {
    return new MeshError('overloaded', `the peer refused the stream (${name})`, { at, retry: 'yes' })
  }
  const kind = at === 'upstream' ? 'backend-reset' : 'client-closed'
  return new MeshError(kind, `the peer reset the stream (${name})`, { at })
}

export function goawayText({ code, debug }: Goaway): string {
  return `the peer ended the session (${nameOfCode(code)}${debug === '' ? '' : `: ${debug}`})`
}
