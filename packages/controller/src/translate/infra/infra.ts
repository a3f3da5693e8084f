// What the Gateways need in the cluster, and the root certificate in their namespaces.
import type { Desired } from '../../model/index.ts'
import type { TranslatedGateway } from '../gateways/gateways.ts'
import { compareText, isTerminating, keyOf, type World } from '../world.ts'
import { infraName } from './names.ts'
import { infraKinds } from './objects.ts'

/** `ending`: keys of Gateways that are about to be deleted. */
export function infraOf(
  world: World,
  gateways: ReadonlyMap<string, TranslatedGateway>,
  ending: ReadonlySet<string>,
): readonly Desired[] {
  const desired: Desired[] = []
  const namespaces = new Set([world.settings.systemNamespace])
  for (const gateway of gateways.values()) {
    const namespace = gateway.object.metadata.namespace ?? ''
    if (gateway.conflict || gateway.object.metadata.deletionTimestamp) continue
    if (ending.has(gateway.key) || isTerminating(world, namespace)) continue
    namespaces.add(namespace)
    if (gateway.accepted.status === 'True')
      desired.push(...gateway.infrastructure.map((object): Desired => ({ kind: 'apply', object })))
    else desired.push(...keptObjects(gateway))
  }
  for (const gateway of world.snapshot.gateways) {
    const kind = world.classes.get(gateway.spec.gatewayClassName)
    if (!kind || gateways.has(keyOf(gateway)) || gateway.metadata.deletionTimestamp) continue
    namespaces.add(gateway.metadata.namespace ?? '')
    desired.push(...keptObjects({ object: gateway, kind }))
  }
  const pem = world.settings.rootCertificatesPem
  if (pem === undefined) return desired
  return [...[...namespaces].sort(compareText).map((namespace) => rootConfigMap(namespace, pem)), ...desired]
}

function rootConfigMap(namespace: string, pem: string): Desired {
  const metadata = { name: 'wishbone-ca-root-cert', namespace, labels: { 'wishbone.dev/managed': 'true' } }
  return { kind: 'apply', object: { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'root-cert.pem': pem } } }
}

/**
 * What was made for a Gateway that something is wrong with now, its parameters, all its listeners or itself: with the Service its
 * address would go, and not come back when that is mended. Whether anything is served there, its configuration decides.
 */
function keptObjects({ object, kind }: Pick<TranslatedGateway, 'object' | 'kind'>): readonly Desired[] {
  const place = { namespace: object.metadata.namespace ?? '', name: infraName(object, kind) }
  return infraKinds.map(([apiVersion, made]) => ({ kind: 'keep', ref: { apiVersion, kind: made, ...place } }))
}
