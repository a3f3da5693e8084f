// Who called, as labels: proven identity first, then what the client's ztunnel says in its baggage.
import { principalOf } from '@wishbone/core/identity'
import type { Connection } from '../server/connection.ts'
import { copyOf } from './copy-of.ts'

export interface SourceLabels {
  readonly key: string
  readonly workload: string
  readonly namespace: string
  readonly canonicalService: string
  readonly canonicalRevision: string
  readonly principal: string
  readonly cluster: string
  readonly security: string
}

const known = new Map<string, SourceLabels>()
const maxKnown = 10_000
/** No name of Kubernetes is longer. */
const longestName = 253

/** The same object for equal sources, remembered at the connection. */
export function sourceOf(connection: Connection): SourceLabels {
  const remembered = connection.sourceLabels as SourceLabels | undefined
  if (remembered !== undefined) return remembered
  const { baggage, peer } = connection
  const labels = {
    workload: said(baggage.workloadName),
    namespace: peer?.namespace ?? said(baggage.namespace),
    canonicalService: said(baggage.service),
    canonicalRevision: said(baggage.revision, 'latest'),
    principal: peer === undefined ? 'unknown' : `spiffe://${principalOf(peer)}`,
    cluster: said(baggage.cluster),
    security: peer === undefined ? 'none' : 'mutual_tls',
  }
  const key = Object.values(labels).join('\u0001')
  let source = known.get(key)
  if (source === undefined) {
    // Baggage is the client's word: it must not fill the memory.
    if (known.size >= maxKnown) known.clear()
    known.set(key, (source = { key, ...labels }))
  }
  connection.sourceLabels = source
  return source
}

/** These outlive the client's headers. */
function said(name: string | undefined, otherwise = 'unknown'): string {
  return name === undefined ? otherwise : copyOf(name, longestName)
}
