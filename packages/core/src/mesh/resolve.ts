// Which of several services with the same VIP or hostname a client means (ambient wire §4.1).
import { workload as proto } from '@wishbone/proto'
import type { Service } from './types.ts'

/**
 * The visible candidate of the client's own namespace, else the canonical one, else that of the preferred namespace,
 * else the first. A service with namespace visibility is visible only inside its namespace. Undefined: none is visible.
 */
export function resolveService(
  candidates: readonly Service[],
  clientNamespace: string | undefined,
  preferredNamespace?: string,
): Service | undefined {
  let best: Service | undefined
  let bestRank = -1
  for (const service of candidates) {
    if (service.visibility !== proto.Visibility.PUBLIC && service.namespace !== clientNamespace) continue
    const rank =
      service.namespace === clientNamespace
        ? 3
        : service.canonical
          ? 2
          : preferredNamespace !== undefined && service.namespace === preferredNamespace
            ? 1
            : 0
    if (rank > bestRank) {
      best = service
      bestRank = rank
    }
  }
  return best
}
