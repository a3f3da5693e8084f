// The Services that a route or an L7 policy names: those may need an automatic waypoint.
import { policyTargets } from '../policies/targets.ts'
import type { MeshService } from '../services/services.ts'
import { guarded, type World } from '../world.ts'
import { attachParents } from './parents.ts'

/** Keys, `<namespace>/<name>`. Consumer routes count too: they are enforced at the Service's waypoint. */
export function namedServices(world: World, services: ReadonlyMap<string, MeshService>): ReadonlySet<string> {
  const { httpRoutes, grpcRoutes, tcpRoutes, tlsRoutes, authorizationPolicies } = world.snapshot
  const named = new Set<string>()
  const parents = { gateways: new Map(), services }
  for (const route of [...httpRoutes, ...grpcRoutes, ...tcpRoutes, ...tlsRoutes]) {
    // A route that throws is reported where it is translated; here it names nothing.
    const attached = (() => {
      try {
        return attachParents(world, parents, route)
      } catch {
        return []
      }
    })()
    for (const { target, accepted } of attached) {
      if (target.kind === 'service' && accepted.status === 'True') named.add(target.key)
    }
  }
  for (const policy of authorizationPolicies) {
    for (const target of guarded(world, policy, () => policyTargets(world, policy)) ?? []) {
      if (target.kind === 'service' && services.has(target.key)) named.add(target.key)
    }
  }
  return named
}
