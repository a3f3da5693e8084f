// What each accepted Gateway needs in the cluster: ServiceAccount, Deployment and Service, and the
// root certificate in its namespace (ambient wire §5.2). Owned by the Gateway, so that they go with it.
import type { Desired, Settings } from '../../model/index.ts'
import { everyListener, type TranslatedGateway } from '../gateways/gateways.ts'
import type { TranslatedListener } from '../gateways/listeners.ts'
import { annotations, gatewayApiVersion, labels } from '../names.ts'
import { compareText, isTerminating, type World } from '../world.ts'
import { deploymentSpec, type ProxyFacts } from './deployment.ts'
import { gatewayLabel, infraName } from './names.ts'

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
    if (gateway.accepted.status !== 'True' || gateway.object.metadata.deletionTimestamp) continue
    if (ending.has(gateway.key) || isTerminating(world, namespace)) continue
    namespaces.add(namespace)
    desired.push(...objectsOf(gateway, world.settings))
  }
  const pem = world.settings.rootCertificatesPem
  if (pem === undefined) return desired
  return [...[...namespaces].sort(compareText).map((namespace) => rootConfigMap(namespace, pem)), ...desired]
}

function rootConfigMap(namespace: string, pem: string): Desired {
  const metadata = { name: 'wishbone-ca-root-cert', namespace, labels: { 'wishbone.dev/managed': 'true' } }
  return { kind: 'apply', object: { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'root-cert.pem': pem } } }
}

function objectsOf(gateway: TranslatedGateway, settings: Settings): readonly Desired[] {
  const { object, kind } = gateway
  const facts: ProxyFacts = {
    name: infraName(object, kind),
    namespace: object.metadata.namespace ?? '',
    gateway: object.metadata.name,
    selector: { [labels.gatewayName]: gatewayLabel(object) },
    labels: {
      [labels.gatewayClass]: object.spec.gatewayClassName,
      'gateway.istio.io/managed': kind === 'waypoint' ? 'istio.io-mesh-controller' : 'wishbone.dev-gateway-controller',
      ...object.spec.infrastructure?.labels,
    },
    annotations: { ...object.spec.infrastructure?.annotations },
    lowPorts: kind === 'gateway',
  }
  const ports =
    kind === 'waypoint'
      ? [
          { name: 'status-port', port: 15021, targetPort: 15021, protocol: 'TCP' },
          { name: 'mesh', port: 15008, targetPort: 15008, protocol: 'TCP', appProtocol: 'hbone' },
        ]
      : gatewayPorts(everyListener(gateway))
  const address = object.spec.addresses?.find(({ value }) => value)?.value
  const service = {
    type: kind === 'waypoint' ? 'ClusterIP' : 'LoadBalancer',
    ipFamilyPolicy: 'PreferDualStack',
    selector: facts.selector,
    ports,
    ...(kind === 'gateway' && address ? { loadBalancerIP: address } : {}),
  }
  const near = kind === 'waypoint' ? { [annotations.trafficDistribution]: 'PreferClose' } : {}
  const apply = (apiVersion: string, what: string, rest: Readonly<Record<string, unknown>>, more = {}): Desired => ({
    kind: 'apply',
    object: { apiVersion, kind: what, metadata: metadata(object, facts, more), ...rest },
  })
  return [
    apply('v1', 'ServiceAccount', {}),
    apply('v1', 'Service', { spec: service }, near),
    apply('apps/v1', 'Deployment', { spec: deploymentSpec(facts, settings) }),
  ]
}

/** One for each port and transport of the listeners; two listeners may share a port. */
function gatewayPorts(listeners: readonly TranslatedListener[]) {
  const ports = new Map<string, { name: string; port: number; targetPort: number; protocol: 'TCP' | 'UDP' }>()
  for (const { accepted, spec } of listeners) {
    if (accepted.status !== 'True') continue
    const { port } = spec
    const protocol = spec.protocol === 'UDP' ? ('UDP' as const) : ('TCP' as const)
    const name = protocol === 'UDP' ? `udp-${port}` : `port-${port}`
    ports.set(name, { name, port, targetPort: port, protocol })
  }
  return [...ports.values()].sort((a, b) => a.port - b.port || (a.protocol < b.protocol ? -1 : 1))
}

function metadata(owner: TranslatedGateway['object'], facts: ProxyFacts, more: Readonly<Record<string, string>>) {
  const marks = { ...more, ...facts.annotations }
  const { name, uid } = owner.metadata
  return {
    name: facts.name,
    namespace: facts.namespace,
    labels: { ...facts.labels, ...facts.selector, [labels.dataplaneMode]: 'none' },
    ...(Object.keys(marks).length > 0 ? { annotations: marks } : {}),
    ...(uid ? { ownerReferences: [{ apiVersion: gatewayApiVersion, kind: 'Gateway', name, uid }] } : {}),
  }
}
