// Whatever the order in which resources come, change, leave and come back: the table is the one that the last of each give at once.
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { l7 } from '@wishbone/proto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Compiler, type ListenerTable, match, matchTcp, type ResourceChanges, type RouteTable } from './index.ts'

const listenerNames = ['g1', 'g2', 'g3', 's1', 's2', 'w1', 'unknown']
const hosts = ['', 'x.com', '*.com']

const bound = fc.oneof(
  fc.record({
    case: fc.constant('gateway' as const),
    value: fc.record({ port: fc.constantFrom(80, 443), hostname: fc.constantFrom(...hosts) }),
  }),
  fc.record({
    case: fc.constant('service' as const),
    value: fc.record({
      namespace: fc.constant('shop'),
      hostname: fc.constantFrom('a.shop', 'b.shop'),
      port: fc.constantFrom(80, 81),
    }),
  }),
  fc.record({ case: fc.constant('workload' as const), value: fc.record({ uid: fc.constantFrom('u1', 'u2') }) }),
  fc.constant({ case: undefined }),
)
const protocol = fc.constantFrom(
  l7.Protocol.UNSPECIFIED,
  l7.Protocol.HTTP,
  l7.Protocol.TCP,
  l7.Protocol.TLS,
  l7.Protocol.HTTPS,
  l7.Protocol.UDP,
)
const listener = fc.record({
  name: fc.constantFrom(...listenerNames),
  bound,
  protocol,
  hasRoutes: fc.boolean(),
  policies: fc.subarray(['p', 'q']),
})
const precedence = fc.record({
  createdUnixMs: fc.constantFrom(1n, 2n),
  namespace: fc.constantFrom('m', 'n'),
  name: fc.constantFrom('r', 's'),
  rule: fc.nat(1),
})
const parents = fc.uniqueArray(
  fc.record({
    listener: fc.constantFrom(...listenerNames),
    hostnames: fc.array(fc.record({ effective: fc.constantFrom(...hosts), original: fc.constantFrom(...hosts) }), {
      maxLength: 2,
    }),
  }),
  { maxLength: 3, selector: (one) => one.listener },
)
const path = fc.oneof(
  fc.record({ case: fc.constantFrom('exact' as const, 'prefix' as const), value: fc.constantFrom('/', '/a', '/a/b') }),
  fc.record({ case: fc.constant('regex' as const), value: fc.constantFrom('/.*', '/a+', '(') }),
  fc.constant({ case: undefined }),
)
const routeName = fc.constantFrom('a', 'b', 'c', 'd')
const consumerNamespace = fc.constantFrom('', 'web', 'cart')
const route = fc.record({
  name: routeName,
  parents,
  precedence,
  consumerNamespace,
  matches: fc.array(fc.record({ path: path.map((kind) => ({ kind })), method: fc.constantFrom('', 'GET') }), {
    maxLength: 3,
  }),
})
const tcpRoute = fc.record({ name: routeName, parents, precedence, consumerNamespace })
const udpRoute = fc.record({
  name: routeName,
  parents,
  precedence,
  backends: fc.array(
    fc.record({
      weight: fc.nat(3),
      endpoints: fc.array(fc.record({ address: fc.uint8Array({ minLength: 3, maxLength: 4 }), port: fc.nat(70_000) }), {
        maxLength: 2,
      }),
    }),
    { maxLength: 2 },
  ),
})

/** One response: of one kind or, as after a pause of the compiler, of several. */
const step = fc.record({
  listeners: fc.array(listener, { maxLength: 3 }),
  routes: fc.array(route, { maxLength: 2 }),
  tcpRoutes: fc.array(tcpRoute, { maxLength: 2 }),
  udpRoutes: fc.array(udpRoute, { maxLength: 1 }),
  gone: fc.record({
    listeners: fc.subarray(listenerNames),
    routes: fc.subarray(['a', 'b', 'c', 'd']),
    tcpRoutes: fc.subarray(['a', 'b', 'c', 'd']),
    udpRoutes: fc.subarray(['a', 'b', 'c', 'd']),
  }),
})
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

const kinds = ['listeners', 'routes', 'tcpRoutes', 'udpRoutes'] as const

function changesOf(one: Step): ResourceChanges {
  const gone = (kind: (typeof kinds)[number]) => one.gone[kind].map((name) => [name, undefined] as const)
  const come = <T extends { readonly name: string }>(all: readonly T[]) => all.map((each) => [each.name, each] as const)
  const listeners = one.listeners.map((init) =>
    create(l7.ListenerSchema, init as MessageInitShape<typeof l7.ListenerSchema>),
  )
  const routes = one.routes.map((init) => create(l7.RouteSchema, init as MessageInitShape<typeof l7.RouteSchema>))
  return {
    listeners: new Map([...gone('listeners'), ...come(listeners)]),
    routes: new Map([...gone('routes'), ...come(routes)]),
    tcpRoutes: new Map([...gone('tcpRoutes'), ...come(one.tcpRoutes.map((init) => create(l7.TcpRouteSchema, init)))]),
    udpRoutes: new Map([...gone('udpRoutes'), ...come(one.udpRoutes.map((init) => create(l7.UdpRouteSchema, init)))]),
  }
}

function run(compiler: Compiler, changes: ResourceChanges): RouteTable {
  const steps = compiler.update(changes)
  for (;;) {
    const next = steps.next()
    if (next.done) return next.value
  }
}

/** All that requests and ports can see of a table. */
function seen(table: RouteTable): unknown {
  const sorted = <K extends string | number, V>(map: ReadonlyMap<K, V>, of: (value: V) => unknown) =>
    [...map].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)).map(([key, value]) => [key, of(value)])
  return {
    listeners: sorted(table.listeners, answersOf),
    services: sorted(table.services, ({ name }) => name),
    workloads: sorted(table.workloads, ({ name }) => name),
    ports: sorted(table.ports, ({ kind, listeners }) => [kind, listeners.map(({ name }) => name)]),
    udpPorts: sorted(table.udpPorts, (port) => port),
    problems: [...new Set(table.problems.map(({ resource, reason }) => `${resource}: ${reason}`))].sort(),
  }
}

function answersOf(table: ListenerTable): unknown {
  const { bound, policies, protocol, consumers } = table
  const answers = ['', 'web', 'cart'].map((namespace) => {
    const of = namespace === '' ? undefined : namespace
    const requests = ['x.com', 'y.com', 'z.org'].flatMap((host) =>
      ['/', '/a', '/a/b', '/c'].map((value) => {
        const head = { method: 'GET', path: value, query: '', host, header: () => undefined }
        const found = match(table, head, of)
        return found.kind === 'match' ? [found.rule.name, found.matchedPrefix] : '404'
      }),
    )
    return [requests, ['', 'x.com'].map((sni) => matchTcp(table, sni, of)?.name ?? matchTcp(table, sni, of))]
  })
  return { bound, policies, protocol, answers, consumers: [...consumers.keys()].sort() }
}

test('a table that is kept up with changes is the one that is compiled at once', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
      const compiler = new Compiler()
      const now = changesOf({
        listeners: [],
        routes: [],
        tcpRoutes: [],
        udpRoutes: [],
        gone: { listeners: [], routes: [], tcpRoutes: [], udpRoutes: [] },
      })
      for (const one of steps) {
        const changes = changesOf(one)
        run(compiler, changes)
        for (const kind of kinds)
          for (const [name, value] of changes[kind]) {
            const map = now[kind] as Map<string, unknown>
            if (value === undefined) map.delete(name)
            else map.set(name, value)
          }
      }
      expect(seen(compiler.table)).toEqual(seen(run(new Compiler(), now)))
    }),
    { numRuns: 500 },
  )
})
