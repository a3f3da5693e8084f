// The objects of one Gateway: ServiceAccount, Service and Deployment, and what its parameters add to them. Named as Istio
// names them for waypoints (ambient wire §5.2) and as GEP-1762 says for gateways; owned by the Gateway, so that they go
// with it.
import type { Gateway, KubeObject } from '../../kinds/index.ts'
import type { Settings } from '../../model/index.ts'
import type { TranslatedListener } from '../gateways/listeners.ts'
import { annotations, gatewayApiVersion, labels } from '../names.ts'
import type { ClassKind } from '../world.ts'
import { deploymentSpec, drainReserveSeconds, drainVariable, type ProxyFacts } from './deployment.ts'
import { isFields, strategicMerge } from './merge.ts'
import { gatewayLabel, infraName } from './names.ts'
import type { Overlay, OverlayKey } from './parameters.ts'

type Made = KubeObject & Readonly<Record<string, unknown>>

const kinds: Readonly<Record<OverlayKey, readonly [apiVersion: string, kind: string]>> = {
  serviceAccount: ['v1', 'ServiceAccount'],
  service: ['v1', 'Service'],
  deployment: ['apps/v1', 'Deployment'],
  horizontalPodAutoscaler: ['autoscaling/v2', 'HorizontalPodAutoscaler'],
  podDisruptionBudget: ['policy/v1', 'PodDisruptionBudget'],
}

/** API version and kind of everything that may be made for a Gateway. */
export const infraKinds = Object.values(kinds)

/** The keys of parameters, with the kind of object that each is for. */
export const kindsOfKeys = Object.entries(kinds).map(([key, [, kind]]) => [key as OverlayKey, kind] as const)

/** What identifies an object, or its pods, to the mesh: parameters that changed it would take the proxy its name. */
const fixed = [
  'apiVersion',
  'kind',
  'metadata.name',
  'metadata.namespace',
  'metadata.ownerReferences',
  `metadata.labels/${labels.gatewayName}`,
  'spec.selector',
  'spec.scaleTargetRef',
  'spec.template.spec.serviceAccountName',
  'spec.template.spec.hostNetwork',
  `spec.template.metadata.labels/${labels.gatewayName}`,
  `spec.template.metadata.labels/${labels.dataplaneMode}`,
]

export interface Infrastructure {
  /** ServiceAccount, Service, Deployment, and others if parameters ask for them. */
  readonly objects: readonly Made[]
  /** What the parameters change that they may not, a sentence each; if there is any, nothing of this is to be applied. */
  readonly faults: readonly string[]
}

export function infrastructureOf(
  gateway: Gateway,
  kind: ClassKind,
  listeners: readonly TranslatedListener[],
  settings: Settings,
  overlays: readonly Overlay[],
): Infrastructure {
  const facts = factsOf(gateway, kind)
  const metadata = metadataOf(gateway, facts)
  const near = kind === 'waypoint' ? { [annotations.trafficDistribution]: 'PreferClose' } : {}
  const bases: Readonly<Record<OverlayKey, Made>> = {
    serviceAccount: made('serviceAccount', metadata({})),
    service: made('service', metadata(near), serviceSpec(gateway, kind, listeners, facts)),
    deployment: made('deployment', metadata({}), deploymentSpec(facts, settings)),
    horizontalPodAutoscaler: made('horizontalPodAutoscaler', metadata({}), {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: facts.name },
    }),
    podDisruptionBudget: made('podDisruptionBudget', metadata({}), { selector: { matchLabels: facts.selector } }),
  }
  const objects: Made[] = []
  const faults: string[] = []
  for (const key of Object.keys(bases) as OverlayKey[]) {
    const base = bases[key]
    const wanted = overlays.filter(({ texts }) => texts[key])
    const optional = key === 'horizontalPodAutoscaler' || key === 'podDisruptionBudget'
    if (wanted.length === 0) {
      if (!optional) objects.push(base)
      continue
    }
    let merged: Readonly<Record<string, unknown>> = base
    for (const { source, texts } of wanted) {
      const next = strategicMerge(merged, texts[key]!)
      const paths = fixed.filter((one) => JSON.stringify(at(base, one)) !== JSON.stringify(at(next, one)))
      if (paths.length === 0) merged = next
      for (const path of paths)
        faults.push(`${source}, key ${key}: ${path.replace('/', '.')} can not be changed; remove it`)
    }
    objects.push((key === 'deployment' ? withDrain(merged) : merged) as Made)
  }
  return { objects, faults }
}

function factsOf(gateway: Gateway, kind: ClassKind): ProxyFacts {
  return {
    name: infraName(gateway, kind),
    namespace: gateway.metadata.namespace ?? '',
    gateway: gateway.metadata.name,
    selector: { [labels.gatewayName]: gatewayLabel(gateway) },
    labels: {
      ...gateway.spec.infrastructure?.labels,
      [labels.gatewayClass]: gateway.spec.gatewayClassName,
      'gateway.istio.io/managed': kind === 'waypoint' ? 'istio.io-mesh-controller' : 'wishbone.dev-gateway-controller',
    },
    annotations: { ...gateway.spec.infrastructure?.annotations },
    lowPorts: kind === 'gateway',
  }
}

function serviceSpec(
  { spec }: Gateway,
  kind: ClassKind,
  listeners: readonly TranslatedListener[],
  { selector }: ProxyFacts,
) {
  const ports =
    kind === 'waypoint'
      ? [
          { name: 'status-port', port: 15021, targetPort: 15021, protocol: 'TCP' },
          { name: 'mesh', port: 15008, targetPort: 15008, protocol: 'TCP', appProtocol: 'hbone' },
        ]
      : gatewayPorts(listeners)
  const address = spec.addresses?.find(({ value }) => value)?.value
  return {
    type: kind === 'waypoint' ? 'ClusterIP' : 'LoadBalancer',
    ipFamilyPolicy: 'PreferDualStack',
    selector,
    ports,
    ...(kind === 'gateway' && address ? { loadBalancerIP: address } : {}),
  }
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

function metadataOf(owner: Gateway, facts: ProxyFacts) {
  const { name, uid } = owner.metadata
  return (more: Readonly<Record<string, string>>) => {
    const marks = { ...more, ...facts.annotations }
    return {
      name: facts.name,
      namespace: facts.namespace,
      labels: { ...facts.labels, ...facts.selector, [labels.dataplaneMode]: 'none' },
      ...(Object.keys(marks).length > 0 ? { annotations: marks } : {}),
      ...(uid ? { ownerReferences: [{ apiVersion: gatewayApiVersion, kind: 'Gateway', name, uid }] } : {}),
    }
  }
}

function made(key: OverlayKey, metadata: KubeObject['metadata'], spec?: unknown): Made {
  const [apiVersion, kind] = kinds[key]
  return { apiVersion, kind, metadata, ...(spec === undefined ? {} : { spec }) }
}

/** The proxy stops in the time that its pod is given, also where parameters change that. */
function withDrain(deployment: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const grace = at(deployment, 'spec.template.spec.terminationGracePeriodSeconds')
  if (typeof grace !== 'number') return deployment
  const seconds = Math.max(1, grace - drainReserveSeconds)
  // Parameters may have put anything here; what is no Deployment any more the API server refuses, and says why.
  const own = at(deployment, 'spec.template.spec.containers')
  const env = Array.isArray(own) && isFields(own[0]) ? own[0]['env'] : undefined
  const told: unknown = (Array.isArray(env) ? env : []).filter(isFields).find(({ name }) => name === drainVariable)?.[
    'value'
  ]
  if (told === undefined || Number(told) <= seconds) return deployment
  const container = { name: 'wishbone', env: [{ name: drainVariable, value: String(seconds) }] }
  return strategicMerge(deployment, { spec: { template: { spec: { containers: [container] } } } })
}

/** What is at a path of members; after a slash comes a name that may have dots. */
function at(object: unknown, path: string): unknown {
  const [members = '', last] = path.split(/\/(.*)/s)
  const names = last === undefined ? members.split('.') : [...members.split('.'), last]
  return names.reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], object)
}
