// What the Gateways need in the cluster, and the root certificate in their namespaces.
import type { Desired } from '../../model/index.ts'
import { isServed, type TranslatedGateway } from '../gateways/gateways.ts'
import { compareText, isTerminating, type World } from '../world.ts'
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
    if (!isServed(gateway) || gateway.object.metadata.deletionTimestamp) continue
    if (ending.has(gateway.key) || isTerminating(world, namespace)) continue
    namespaces.add(namespace)
    if (gateway.accepted.status === 'True')
      desired.push(...gateway.infrastructure.map((object): Desired => ({ kind: 'apply', object })))
    else desired.push(...keptObjects(gateway))
  }
  const pem = world.settings.rootCertificatesPem
  if (pem === undefined) return desired
  return [...[...namespaces].sort(compareText).map((namespace) => rootConfigMap(namespace, pem)), ...desired]
}

function rootConfigMap(namespace: string, pem: string): Desired {
  const metadata = { name: 'wishbone-ca-root-cert', namespace, labels: { 'wishbone.dev/managed': 'true' } }
  return { kind: 'apply', object: { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'root-cert.pem': pem } } }
}

/** Its parameters are wrong now: what runs with the last good ones goes on. */
function keptObjects({ object, kind }: TranslatedGateway): readonly Desired[] {
  const place = { namespace: object.metadata.namespace ?? '', name: infraName(object, kind) }
  return infraKinds.map(([apiVersion, made]) => ({ kind: 'keep', ref: { apiVersion, kind: made, ...place } }))
}
