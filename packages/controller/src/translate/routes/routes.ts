// All routes: their parents, their rules as messages, and what went wrong with which.
import { clone, create } from '@bufbuild/protobuf'
import { l7 } from '@wishbone/proto'
import type { GRPCRoute, HTTPRoute, TCPRoute, TLSRoute, UDPRoute } from '../../kinds/index.ts'
import { no, type Verdict } from '../conditions.ts'
import type { BackendTlsPolicies } from '../policies/backend-tls.ts'
import { guarded, keyOf, type World } from '../world.ts'
import { type BackendContext, type RefProblem, resolveBackend, resolveUdpBackend } from './backends.ts'
import { grpcRule, httpRule, precedence, type RuleOutcome, source } from './http.ts'
import { type AttachedParent, attachParents, type Parents } from './parents.ts'

export type RouteObject = HTTPRoute | GRPCRoute | TCPRoute | TLSRoute | UDPRoute

export interface TranslatedRoute {
  readonly object: RouteObject
  readonly parents: readonly AttachedParent[]
  readonly routes: readonly l7.Route[]
  readonly tcpRoutes: readonly l7.TcpRoute[]
  readonly udpRoutes: readonly l7.UdpRoute[]
  readonly problems: readonly RefProblem[]
  /** Rules that were left out while the others serve. */
  readonly dropped: readonly string[]
  /** Resource names of the Services that it may send to. */
  readonly used: ReadonlySet<string>
}

/** `known`: what routes became in an equal world; what they become in this one is added. */
export function translateRoutes(
  world: World,
  parents: Parents,
  backendTls: Pick<BackendTlsPolicies, 'tlsFor'>,
  known: WeakMap<RouteObject, TranslatedRoute>,
): readonly TranslatedRoute[] {
  const { httpRoutes, grpcRoutes, tcpRoutes, tlsRoutes, udpRoutes } = world.snapshot
  const all: readonly RouteObject[] = [...httpRoutes, ...grpcRoutes, ...tcpRoutes, ...tlsRoutes, ...udpRoutes]
  return all.flatMap((route) => {
    const earlier = known.get(route)
    if (earlier) return [earlier]
    const problems = world.problems.length
    const found = guarded(world, route, () => translateRoute(world, parents, route, backendTls))
    if (!found) return []
    // What is wrong with others is told anew each time.
    if (world.problems.length === problems) known.set(route, found)
    return [found]
  })
}

function translateRoute(
  world: World,
  parents: Parents,
  object: RouteObject,
  backendTls: Pick<BackendTlsPolicies, 'tlsFor'>,
): TranslatedRoute {
  const attached = attachParents(world, parents, object)
  const context: BackendContext = {
    world,
    services: parents.services,
    backendTls,
    routeKind: object.kind,
    routeNamespace: object.metadata.namespace ?? '',
    ownParents: ownParents(attached),
    problems: [],
    used: new Set(),
  }
  if (object.kind === 'UDPRoute') {
    return {
      object,
      parents: attached,
      routes: [],
      tcpRoutes: [],
      udpRoutes: udpRules(context, object as UDPRoute, listenersOf(attached)),
      problems: context.problems,
      dropped: [],
      used: context.used,
    }
  }
  if (object.kind === 'TCPRoute' || object.kind === 'TLSRoute') {
    return {
      object,
      parents: attached,
      routes: [],
      udpRoutes: [],
      tcpRoutes: l4Rules(context, object as TCPRoute).flatMap((message) => split(l7.TcpRouteSchema, message, attached)),
      problems: context.problems,
      dropped: [],
      used: context.used,
    }
  }
  const outcomes = httpOutcomes(context, object as HTTPRoute | GRPCRoute)
  const routes = outcomes.flatMap((outcome) => (outcome.kind === 'route' ? [outcome.message] : []))
  const dropped = outcomes.flatMap((outcome) => (outcome.kind === 'dropped' ? [outcome.message] : []))
  const incompatible = outcomes.find((outcome) => outcome.kind === 'incompatible')
  const refused = incompatible
    ? no('IncompatibleFilters', incompatible.message)
    : dropped.length > 0 && routes.length === 0
      ? no('UnsupportedValue', dropped.join('; '))
      : undefined
  return {
    object,
    parents: refused ? attached.map((parent) => refuse(parent, refused)) : attached,
    routes: refused ? [] : routes.flatMap((message) => split(l7.RouteSchema, message, attached)),
    tcpRoutes: [],
    udpRoutes: [],
    problems: context.problems,
    dropped: refused ? [] : dropped,
    used: context.used,
  }
}

/**
 * Services whose owners need not grant what they are sent, since it is their own traffic. None where the route is attached to
 * anything of another namespace as well, whose traffic it is not.
 */
function ownParents(attached: readonly AttachedParent[]): ReadonlySet<string> {
  const keys = attached.flatMap(({ target }) => (target.kind === 'service' ? [target.key] : []))
  const namespaces = new Set(keys.map((key) => key.slice(0, key.indexOf('/'))))
  return new Set(keys.length === attached.length && namespaces.size === 1 ? keys : [])
}

/** A route without rules has one that matches everything: the API's default. */
function httpOutcomes(context: BackendContext, route: HTTPRoute | GRPCRoute): readonly RuleOutcome[] {
  if (route.kind === 'GRPCRoute') {
    const grpc = route as GRPCRoute
    return (grpc.spec.rules ?? [{}]).map((rule, index) => grpcRule(context, grpc, rule, index))
  }
  const http = route as HTTPRoute
  return (http.spec.rules ?? [{}]).map((rule, index) => httpRule(context, http, rule, index))
}

function l4Rules(context: BackendContext, route: TCPRoute): readonly l7.TcpRoute[] {
  return route.spec.rules.map((rule, index) =>
    create(l7.TcpRouteSchema, {
      name: `${context.routeKind}/${keyOf(route)}/${index}`,
      source: source(context, route, String(index)),
      precedence: precedence(route, index),
      backends: rule.backendRefs.map((ref) => ({ weight: ref.weight ?? 1, backend: resolveBackend(context, ref) })),
    }),
  )
}

function udpRules(
  context: BackendContext,
  route: UDPRoute,
  parents: readonly l7.RouteParent[],
): readonly l7.UdpRoute[] {
  const messages = route.spec.rules.map((rule, index) =>
    create(l7.UdpRouteSchema, {
      name: `${context.routeKind}/${keyOf(route)}/${index}`,
      source: source(context, route, String(index)),
      parents: [...parents],
      precedence: precedence(route, index),
      backends: rule.backendRefs.map((ref) => resolveUdpBackend(context, ref)),
    }),
  )
  return parents.length > 0 ? messages : []
}

function refuse(parent: AttachedParent, verdict: Verdict): AttachedParent {
  return parent.accepted.status === 'True' ? { ...parent, accepted: verdict, listeners: [] } : parent
}

type Attachable = typeof l7.RouteSchema | typeof l7.TcpRouteSchema

/**
 * The rule with its parents. A consumer route only concerns clients of its own namespace, which is
 * said once for a message: a rule that is both gets a second message, named "<name>/consumer".
 */
function split<Message extends l7.Route | l7.TcpRoute>(
  schema: Attachable,
  message: Message,
  attached: readonly AttachedParent[],
): readonly Message[] {
  const isConsumer = ({ target }: AttachedParent) => target.kind === 'service' && target.consumer
  const direct = listenersOf(attached.filter((parent) => !isConsumer(parent)))
  const consumer = listenersOf(attached.filter(isConsumer))
  // Copying is also what finds a value that its field does not allow (sound.ts).
  const copy = (parents: readonly l7.RouteParent[], more: Partial<l7.Route>): Message => {
    const copied = clone(schema as typeof l7.RouteSchema, message as l7.Route)
    return Object.assign(copied, { parents: [...parents] }, more) as Message
  }
  const found: Message[] = []
  if (direct.length > 0) found.push(copy(direct, {}))
  if (consumer.length > 0) {
    const name = direct.length > 0 ? `${message.name}/consumer` : message.name
    found.push(copy(consumer, { name, consumerNamespace: message.source?.namespace ?? '' }))
  }
  return found
}

/** Two references may lead to one listener. */
function listenersOf(attached: readonly AttachedParent[]): readonly l7.RouteParent[] {
  const byName = new Map<string, l7.RouteParent>()
  for (const { listeners } of attached) for (const parent of listeners) byName.set(parent.listener, parent)
  return [...byName.values()].sort((a, b) => (a.listener < b.listener ? -1 : 1))
}
