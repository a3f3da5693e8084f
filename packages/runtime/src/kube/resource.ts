// A kind of the Kubernetes API and the REST paths of its objects.

export interface ResourceKind {
  readonly apiVersion: string
  readonly kind: string
  readonly plural: string
  readonly namespaced: boolean
}

export interface WatchedKind extends ResourceKind {
  /** Only objects of this namespace; every namespace's if absent. */
  readonly namespace?: string
  /** Filters that the API server applies; they keep what nobody reads out of memory. */
  readonly labelSelector?: string
  readonly fieldSelector?: string
  /** Objects a page, if they are unusually big. */
  readonly pageSize?: number
  /** A program that may not list it (403) goes on as if it were not installed. */
  readonly dispensable?: boolean
}

/** `namespace` undefined: the cluster-wide collection, or an object without namespace. */
export function resourcePath(kind: ResourceKind, namespace?: string, name?: string, subresource?: string): string {
  const root = kind.apiVersion.includes('/') ? `/apis/${kind.apiVersion}` : `/api/${kind.apiVersion}`
  const parts = [root]
  if (namespace !== undefined && kind.namespaced) parts.push('namespaces', encodeURIComponent(namespace))
  parts.push(kind.plural)
  if (name !== undefined) parts.push(encodeURIComponent(name))
  if (subresource !== undefined) parts.push(subresource)
  return parts.join('/')
}
