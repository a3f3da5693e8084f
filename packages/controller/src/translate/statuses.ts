// Every status that the translation wants, and one for each object that could not be translated.
import type { AuthorizationPolicy, Condition, KubeObject } from '../kinds/index.ts'
import type { StatusOf } from '../model/index.ts'
import { condition, conditionOf, generationOf, no, type Verdict, yes } from './conditions.ts'
import type { TranslatedGateway } from './gateways/gateways.ts'
import { brokenGatewayStatus, gatewayClassStatuses, gatewayStatus, listenerSetStatus } from './gateways/status.ts'
import { conditionTypes, meshController } from './names.ts'
import type { BackendTlsPolicies } from './policies/backend-tls.ts'
import { backendTlsStatus } from './policies/backend-tls-status.ts'
import type { Enforcement } from './policies/enforcement.ts'
import { hasTargetRefs } from './policies/targets.ts'
import type { RouteObject, TranslatedRoute } from './routes/routes.ts'
import { routeStatus, statusOf } from './routes/status.ts'
import type { MeshService } from './services/services.ts'
import type { Bindings } from './waypoints/binding.ts'
import type { Problem, World } from './world.ts'

export interface StatusInput {
  readonly gateways: ReadonlyMap<string, TranslatedGateway>
  readonly routes: readonly TranslatedRoute[]
  readonly services: ReadonlyMap<string, MeshService>
  readonly bindings: Bindings
  readonly enforcement: ReadonlyMap<AuthorizationPolicy, Enforcement>
  readonly backendTls: BackendTlsPolicies
}

export function statusesOf(world: World, input: StatusInput): readonly StatusOf[] {
  const statuses: StatusOf[] = [...gatewayClassStatuses(world)]
  for (const gateway of input.gateways.values()) {
    statuses.push(gatewayStatus(gateway, input.routes))
    for (const set of gateway.listenerSets) statuses.push(listenerSetStatus(gateway, set, input.routes))
  }
  for (const route of input.routes) {
    const status = routeStatus(route, input.bindings)
    if (status) statuses.push(status)
  }
  for (const policy of input.backendTls.policies)
    statuses.push(backendTlsStatus(policy, input.gateways, input.routes, input.services))
  for (const [policy, { verdict }] of input.enforcement) statuses.push(policyStatus(policy, verdict))
  for (const object of world.snapshot.requestAuthentications) {
    const verdict = no('UnsupportedValue', unsupportedRequestAuthentication)
    statuses.push({ ...referenceTo(object), conditions: [condition(object, conditionTypes.waypointAccepted, verdict)] })
  }
  const broken = new Map(world.problems.map(({ object, message }) => [object, message]))
  for (const policy of world.snapshot.peerAuthentications) {
    const message = broken.get(policy)
    const verdict = message ? no('Invalid', `taken for STRICT, because it can't be read: ${message}`) : yes('Accepted')
    statuses.push({ ...referenceTo(policy), conditions: [condition(policy, conditionTypes.ztunnelAccepted, verdict)] })
  }
  for (const service of input.services.values()) {
    const status = serviceStatus(service, input.bindings)
    if (status) statuses.push(status)
  }
  const told = new Set<KubeObject>()
  for (const problem of world.problems) {
    if (told.has(problem.object)) continue
    told.add(problem.object)
    const status = problemStatus(problem)
    if (status) statuses.push(status)
  }
  return statuses
}

const unsupportedRequestAuthentication =
  'RequestAuthentication is not supported: no token is checked, and a request has no principal; let the application check it'

function policyStatus(policy: AuthorizationPolicy, verdict: Verdict): StatusOf {
  const type = hasTargetRefs(policy) ? conditionTypes.waypointAccepted : conditionTypes.ztunnelAccepted
  return { ...referenceTo(policy), conditions: [condition(policy, type, verdict)] }
}

/** Undefined: nothing to say, and nothing said before. */
function serviceStatus({ key, object }: MeshService, bindings: Bindings): StatusOf | undefined {
  const binding = bindings.services.get(key)
  const said = conditionOf(object, conditionTypes.waypointBound) ?? conditionOf(object, conditionTypes.translated)
  const verdict = binding?.verdict?.reason === 'NamespaceNotEnrolled' ? undefined : binding?.verdict
  if (!verdict) return said ? { ...referenceTo(object), conditions: [] } : undefined
  return { ...referenceTo(object), conditions: [condition(object, conditionTypes.waypointBound, verdict)] }
}

function problemStatus({ object, message }: Problem): StatusOf | undefined {
  const verdict = no('Invalid', `the ${object.kind} can not be translated: ${message}; correct it`)
  switch (object.kind) {
    case 'Gateway':
      return brokenGatewayStatus(object as TranslatedGateway['object'], message)
    case 'HTTPRoute':
    case 'GRPCRoute':
    case 'TCPRoute':
    case 'TLSRoute':
    case 'UDPRoute':
      return brokenRouteStatus(object as RouteObject, verdict)
    case 'Service':
      return { ...referenceTo(object), conditions: [condition(object, conditionTypes.translated, verdict)] }
    // Policies are told in their own status, pods and slices have none of ours.
    default:
      return undefined
  }
}

/** Only references to Services are surely ours when the rest could not be read. */
function brokenRouteStatus(object: RouteObject, verdict: Verdict): StatusOf | undefined {
  const conditions: Condition[] = ['Accepted', 'ResolvedRefs'].map((type) => condition(object, type, verdict))
  const refs = object.spec?.parentRefs
  const parents = (Array.isArray(refs) ? refs : [])
    .filter((ref) => ref?.kind === 'Service')
    .map((parentRef) => ({ parentRef, controllerName: meshController, conditions }))
  const before = (object.status?.parents ?? [])
    .filter(({ parentRef }) => parentRef.kind !== 'Service')
    .filter(({ controllerName }) => controllerName.startsWith('wishbone.dev/'))
    .map(({ parentRef, controllerName }) => ({ parentRef, controllerName, conditions }))
  return statusOf(object, [...parents, ...before])
}

function referenceTo(object: KubeObject) {
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    namespace: object.metadata.namespace ?? '',
    name: object.metadata.name,
    generation: generationOf(object),
  }
}
