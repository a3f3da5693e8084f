// What the author of a BackendTLSPolicy is told.
import type { AncestorStatus, StatusOf } from '../../model/index.ts'
import { condition, generationOf } from '../conditions.ts'
import type { TranslatedGateway } from '../gateways/gateways.ts'
import { gatewayController, gatewayGroup, parentControllers } from '../names.ts'
import type { TranslatedRoute } from '../routes/routes.ts'
import type { MeshService } from '../services/services.ts'
import type { TranslatedBackendTlsPolicy } from './backend-tls.ts'

/** One ancestor for each Gateway whose routes lead to a Service of the policy. */
export function backendTlsStatus(
  policy: TranslatedBackendTlsPolicy,
  gateways: ReadonlyMap<string, TranslatedGateway>,
  routes: readonly TranslatedRoute[],
  services: ReadonlyMap<string, MeshService>,
): StatusOf {
  const { object, accepted, resolvedRefs } = policy
  const names = new Set([...policy.services].flatMap((key) => services.get(key)?.name ?? []))
  const keys = new Set<string>()
  for (const { used, parents } of routes) {
    if (![...used].some((name) => names.has(name))) continue
    for (const { target, accepted: attached } of parents)
      if (target.kind === 'gateway' && attached.status === 'True') keys.add(target.key)
  }
  const ancestors = [...keys].sort().flatMap((key): AncestorStatus[] => {
    const gateway = gateways.get(key)
    if (gateway?.kind !== 'gateway') return []
    const { name, namespace = '' } = gateway.object.metadata
    return [
      {
        ancestorRef: { group: gatewayGroup, kind: 'Gateway', namespace, name },
        controllerName: gatewayController,
        conditions: [condition(object, 'Accepted', accepted), condition(object, 'ResolvedRefs', resolvedRefs)],
      },
    ]
  })
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    namespace: object.metadata.namespace ?? '',
    name: object.metadata.name,
    generation: generationOf(object),
    // The API has room for 16.
    ancestors: ancestors.slice(0, 16),
    parentControllers,
  }
}
