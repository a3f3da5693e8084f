// What a request is about, read from its method and path as Kubernetes' API servers do.

export interface RequestInfo {
  readonly verb: string
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly namespace: string | undefined
  readonly name: string | undefined
  readonly subresource: string | undefined
  /** What comes after the subresource (proxy paths). */
  readonly rest: string
}

/** undefined: the path is not of a resource. */
export function parseResourcePath(method: string, path: string, query: URLSearchParams): RequestInfo | undefined {
  const parts = path.split('/').filter((part) => part !== '')
  let segments: string[]
  let group = ''
  let version: string
  if (parts[0] === 'api' && parts.length >= 3) {
    version = parts[1]!
    segments = parts.slice(2)
  } else if (parts[0] === 'apis' && parts.length >= 4) {
    group = parts[1]!
    version = parts[2]!
    segments = parts.slice(3)
  } else return undefined
  segments = segments.map((segment) => decode(segment))
  let namespace: string | undefined
  const namespaceItself = segments.length === 3 && ['status', 'finalize'].includes(segments[2]!)
  if (segments[0] === 'namespaces' && segments.length > 2 && !namespaceItself) {
    namespace = segments[1]!
    segments = segments.slice(2)
  }
  const [plural, name, subresource, ...rest] = segments
  if (plural === undefined) return undefined
  return {
    verb: verbOf(method, name, query),
    group,
    version,
    plural,
    namespace,
    name,
    subresource,
    rest: rest.join('/'),
  }
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

function verbOf(method: string, name: string | undefined, query: URLSearchParams): string {
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (isTrue(query.get('watch'))) return 'watch'
      return name === undefined ? 'list' : 'get'
    case 'POST':
      return 'create'
    case 'PUT':
      return 'update'
    case 'PATCH':
      return 'patch'
    case 'DELETE':
      return name === undefined ? 'deletecollection' : 'delete'
    default:
      return method.toLowerCase()
  }
}

export function isTrue(value: string | null): boolean {
  return value === 'true' || value === '1'
}
