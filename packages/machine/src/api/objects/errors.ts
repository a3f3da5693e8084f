// Failures of the API as Kubernetes' Status objects.

export interface StatusCause {
  readonly reason: string
  readonly message: string
  readonly field?: string
}

export class ApiError extends Error {
  readonly code: number
  readonly reason: string
  readonly details: {
    readonly name?: string
    readonly group?: string
    readonly kind?: string
    readonly causes?: readonly StatusCause[]
    readonly retryAfterSeconds?: number
  }

  constructor(code: number, reason: string, message: string, details: ApiError['details'] = {}) {
    super(message)
    this.code = code
    this.reason = reason
    this.details = details
  }

  /** The `Status` object that a client gets. */
  status(): Record<string, unknown> {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      details: this.details,
      code: this.code,
    }
  }
}

interface Named {
  readonly group: string
  readonly plural: string
}

function full(resource: Named): string {
  return resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`
}

export const notFound = (resource: Named, name: string): ApiError =>
  new ApiError(404, 'NotFound', `${full(resource)} "${name}" not found`, {
    name,
    group: resource.group,
    kind: resource.plural,
  })

export const noSuchPath = (): ApiError =>
  new ApiError(404, 'NotFound', 'the server could not find the requested resource')

export const alreadyExists = (resource: Named, name: string): ApiError =>
  new ApiError(409, 'AlreadyExists', `${full(resource)} "${name}" already exists`, {
    name,
    group: resource.group,
    kind: resource.plural,
  })

export const conflict = (resource: Named, name: string, why: string, causes?: readonly StatusCause[]): ApiError =>
  new ApiError(409, 'Conflict', `Operation cannot be fulfilled on ${full(resource)} "${name}": ${why}`, {
    name,
    group: resource.group,
    kind: resource.plural,
    ...(causes === undefined ? {} : { causes }),
  })

export const badRequest = (message: string): ApiError => new ApiError(400, 'BadRequest', message)

export const forbidden = (message: string): ApiError => new ApiError(403, 'Forbidden', message)

export const unauthorized = (): ApiError => new ApiError(401, 'Unauthorized', 'Unauthorized')

export const expired = (message: string): ApiError => new ApiError(410, 'Expired', message)

export const methodNotAllowed = (): ApiError =>
  new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource')

export const unsupportedMediaType = (type: string): ApiError =>
  new ApiError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml (got ${type})`,
  )

/** 422 with one cause per field. */
export const invalid = (group: string, kind: string, name: string, causes: readonly StatusCause[]): ApiError => {
  const text = causes.map((cause) => (cause.field === undefined ? cause.message : `${cause.field}: ${cause.message}`))
  const shown = text.length === 1 ? text[0] : `[${text.join(', ')}]`
  return new ApiError(422, 'Invalid', `${group === '' ? kind : `${kind}.${group}`} "${name}" is invalid: ${shown}`, {
    name,
    group,
    kind,
    causes,
  })
}
