// The snapshot, indexed and in one order: sorted by namespace and name, so that no result can
// depend on the order in which the API server listed the objects.
import type {
  ConfigMap,
  EndpointSlice,
  FaultInjection,
  KubeObject,
  Namespace,
  Node,
  Pod,
  ReferenceGrant,
  Secret,
  Service,
} from '../kinds/index.ts'
import type { Settings, Snapshot } from '../model/index.ts'
import { gatewayController, meshController } from './names.ts'

export type ClassKind = 'gateway' | 'waypoint'

export interface World {
  readonly settings: Settings
  /** Every list sorted by namespace, then name. */
  readonly snapshot: Snapshot
  readonly namespaces: ReadonlyMap<string, Namespace>
  /** By `<namespace>/<name>`, like the other maps below unless they say otherwise. */
  readonly services: ReadonlyMap<string, Service>
  readonly pods: ReadonlyMap<string, Pod>
  /** By namespace. */
  readonly podsIn: ReadonlyMap<string, readonly Pod[]>
  /** By the Service's `<namespace>/<name>`. */
  readonly slicesOf: ReadonlyMap<string, readonly EndpointSlice[]>
  /** By name. */
  readonly nodes: ReadonlyMap<string, Node>
  readonly secrets: ReadonlyMap<string, Secret>
  readonly configMaps: ReadonlyMap<string, ConfigMap>
  readonly faults: ReadonlyMap<string, FaultInjection>
  /** By the namespace that they are in, the target's. */
  readonly grantsIn: ReadonlyMap<string, readonly ReferenceGrant[]>
  /** Our GatewayClasses by name. */
  readonly classes: ReadonlyMap<string, ClassKind>
  /** Objects whose translation threw; collected while translating. */
  readonly problems: Problem[]
}

/** An object that could not be translated; its neighbours were. */
export interface Problem {
  readonly object: KubeObject
  readonly message: string
}

/** `<namespace>/<name>` of an object. */
export function keyOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`
}

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

export function indexSnapshot(input: Snapshot, settings: Settings): World {
  const problems: Problem[] = []
  const snapshot = sorted(input, problems)
  const classes = new Map<string, ClassKind>()
  for (const { metadata, spec } of snapshot.gatewayClasses) {
    if (spec.controllerName === gatewayController) classes.set(metadata.name, 'gateway')
    if (spec.controllerName === meshController) classes.set(metadata.name, 'waypoint')
  }
  return {
    settings,
    snapshot,
    namespaces: new Map(snapshot.namespaces.map((n) => [n.metadata.name, n])),
    services: byKey(snapshot.services),
    pods: byKey(snapshot.pods),
    podsIn: Map.groupBy(snapshot.pods, (pod) => pod.metadata.namespace ?? ''),
    slicesOf: Map.groupBy(
      snapshot.endpointSlices,
      (slice) => `${slice.metadata.namespace ?? ''}/${slice.metadata.labels?.['kubernetes.io/service-name'] ?? ''}`,
    ),
    nodes: new Map(snapshot.nodes.map((n) => [n.metadata.name, n])),
    secrets: byKey(snapshot.secrets),
    configMaps: byKey(snapshot.configMaps),
    faults: byKey(snapshot.faultInjections),
    grantsIn: Map.groupBy(snapshot.referenceGrants, (grant) => grant.metadata.namespace ?? ''),
    classes,
    problems,
  }
}

/** Runs the translation of one object; what it throws becomes a problem of that object only. */
export function guarded<T>(world: World, object: KubeObject, translateOne: () => T): T | undefined {
  try {
    return translateOne()
  } catch (cause) {
    world.problems.push({ object, message: cause instanceof Error ? cause.message : String(cause) })
    return undefined
  }
}

/** Oldest first, then by namespace and name: the order in which the Gateway API resolves conflicts. */
export function olderFirst(a: KubeObject, b: KubeObject): number {
  return createdUnixMs(a) - createdUnixMs(b) || compareText(keyOf(a), keyOf(b))
}

export function createdUnixMs(object: KubeObject): number {
  const time = Date.parse(object.metadata.creationTimestamp ?? '')
  return Number.isNaN(time) ? 0 : time
}

export function namespaceLabels(world: World, namespace: string): Readonly<Record<string, string>> {
  return world.namespaces.get(namespace)?.metadata.labels ?? {}
}

/** Nothing new can be made in a namespace that is being deleted. */
export function isTerminating(world: World, namespace: string): boolean {
  return world.namespaces.get(namespace)?.metadata.deletionTimestamp !== undefined
}

/** Whether pods of the namespace join the mesh by its label. */
export function isEnrolled(world: World, namespace: string): boolean {
  return namespaceLabels(world, namespace)['istio.io/dataplane-mode'] === 'ambient'
}

function byKey<T extends KubeObject>(objects: readonly T[]): ReadonlyMap<string, T> {
  return new Map(objects.map((object) => [keyOf(object), object]))
}

/** Kinds that say nothing without a spec. */
const needSpec = new Set([
  'gatewayClasses',
  'gateways',
  'httpRoutes',
  'grpcRoutes',
  'tcpRoutes',
  'tlsRoutes',
  'udpRoutes',
  'listenerSets',
  'backendTlsPolicies',
  'referenceGrants',
  'services',
  'pods',
  'faultInjections',
])
/** Kinds whose empty spec has a meaning: such an AuthorizationPolicy allows nothing. */
const mayLackSpec = new Set(['authorizationPolicies', 'peerAuthentications'])

function sorted(snapshot: Snapshot, problems: Problem[]): Snapshot {
  const copy: Record<string, unknown> = { nowUnixMs: snapshot.nowUnixMs, blocked: snapshot.blocked }
  for (const [name, value] of Object.entries(snapshot)) {
    if (!Array.isArray(value)) continue
    let objects = value as (KubeObject & { readonly spec?: unknown })[]
    if (needSpec.has(name)) {
      for (const object of objects) if (!hasSpec(object)) problems.push({ object, message: 'it has no spec' })
      objects = objects.filter(hasSpec)
    }
    if (mayLackSpec.has(name)) objects = objects.map((object) => (hasSpec(object) ? object : { ...object, spec: {} }))
    copy[name] = objects.toSorted((a, b) => compareText(keyOf(a), keyOf(b)))
  }
  return copy as unknown as Snapshot
}

function hasSpec(object: { readonly spec?: unknown }): boolean {
  return typeof object.spec === 'object' && object.spec !== null
}
