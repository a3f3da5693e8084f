// The one SPIFFE form that the mesh uses (ambient wire §1.7). Other SPIFFE paths are not identities here.

/** A workload's identity; no member is empty. */
export interface SpiffeId {
  readonly trustDomain: string
  readonly namespace: string
  readonly serviceAccount: string
}

const form = /^spiffe:\/\/([a-z0-9._-]{1,255})\/ns\/([A-Za-z0-9._-]{1,253})\/sa\/([A-Za-z0-9._-]{1,253})$/

/** Parses an identity URI, exactly: no query, no further path segments, no percent escapes. Undefined otherwise. */
export function parseSpiffe(uri: string): SpiffeId | undefined {
  if (uri.length > 2048) return undefined
  const match = form.exec(uri)
  if (match === null) return undefined
  return { trustDomain: match[1]!, namespace: match[2]!, serviceAccount: match[3]! }
}

/** The identity as a URI. */
export function formatSpiffe(id: SpiffeId): string {
  return `spiffe://${principalOf(id)}`
}

/** The identity without its scheme, as authorization policies name it: <trust domain>/ns/<namespace>/sa/<service account>. */
export function principalOf(id: SpiffeId): string {
  return `${id.trustDomain}/ns/${id.namespace}/sa/${id.serviceAccount}`
}

export function equalIdentity(a: SpiffeId, b: SpiffeId): boolean {
  return a.trustDomain === b.trustDomain && a.namespace === b.namespace && a.serviceAccount === b.serviceAccount
}
