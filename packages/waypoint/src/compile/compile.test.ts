import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { l7 } from '@wishbone/proto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  Compiler,
  isMisdirected,
  type ListenerTable,
  match,
  matchTcp,
  protocolFor,
  type ResourceChanges,
  type RouteTable,
  selectListener,
} from './index.ts'

function resources(
  listeners: readonly MessageInitShape<typeof l7.ListenerSchema>[],
  routes: readonly MessageInitShape<typeof l7.RouteSchema>[] = [],
  tcpRoutes: readonly MessageInitShape<typeof l7.TcpRouteSchema>[] = [],
): ResourceChanges {
  const named = <T extends { readonly name: string }>(all: readonly T[]) => new Map(all.map((one) => [one.name, one]))
  return {
    listeners: named(listeners.map((init) => create(l7.ListenerSchema, init))),
    routes: named(routes.map((init) => create(l7.RouteSchema, init))),
    tcpRoutes: named(tcpRoutes.map((init) => create(l7.TcpRouteSchema, init))),
    udpRoutes: new Map(),
  }
}

function compile(changes: ResourceChanges, compiler = new Compiler()): RouteTable {
  const steps = compiler.update(changes)
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
  }
}

const gateway = (name: string, hostname: string, protocol: l7.Protocol = l7.Protocol.HTTP, port = 443) => ({
  name,
  protocol,
  bound: { case: 'gateway' as const, value: { port, hostname } },
})
const service = (init: MessageInitShape<typeof l7.ListenerSchema> = {}) => ({
  name: 'service/shop/a/80',
  bound: { case: 'service' as const, value: { namespace: 'shop', hostname: 'a.shop.svc.cluster.local', port: 80 } },
  ...init,
})

function ruleFor(listener: ListenerTable | undefined, host: string, path = '/', namespace?: string): string {
  const found = match(listener!, { method: 'GET', path, query: '', host, header: () => undefined }, namespace)
  return found.kind === 'match' ? found.rule.name : '404'
}

test('HTTPRouteHTTPSListenerDetectMisdirectedRequests', () => {
  const all = [
    ['any', ''],
    ['second', 'second-example.org'],
    ['wildcard', '*.wildcard.org'],
    ['fourth', 'fourth-example.wildcard.org'],
  ] as const
  const hosts: Record<string, string> = {
    any: 'example.org',
    second: 'second-example.org',
    wildcard: '*.wildcard.org',
    fourth: 'fourth-example.wildcard.org',
  }
  const { ports, problems } = compile(
    resources(
      all.map(([name, hostname]) => gateway(name, hostname, l7.Protocol.HTTPS)),
      all.map(([name]) => ({
        name: `route-${name}`,
        parents: [{ listener: name, hostnames: [{ effective: hosts[name]!, original: hosts[name]! }] }],
      })),
    ),
  )
  expect(problems).toEqual([])
  const port = ports.get(443)!
  const answer = (sni: string, host: string) => {
    const chosen = selectListener(port, sni)!
    return isMisdirected(port, chosen, host) ? '421' : ruleFor(selectListener(port, host), host)
  }
  const table = [
    ['example.org', 'example.org', 'route-any'],
    ['example.org', 'second-example.org', '421'],
    ['example.org', 'unknown-example.org', '404'],
    ['second-example.org', 'second-example.org', 'route-second'],
    ['second-example.org', 'example.org', '421'],
    ['second-example.org', 'unknown-example.org', '421'],
    ['third-example.wildcard.org', 'third-example.wildcard.org', 'route-wildcard'],
    ['third-example.wildcard.org', 'fith-example.wildcard.org', 'route-wildcard'],
    ['third-example.wildcard.org', 'fourth-example.wildcard.org', '421'],
    ['fourth-example.wildcard.org', 'fourth-example.wildcard.org', 'route-fourth'],
    ['fourth-example.wildcard.org', 'fith-example.wildcard.org', '421'],
    ['unknown-example.org', 'example.org', 'route-any'],
    ['unknown-example.org', 'unknown-example.org', '404'],
  ] as const
  for (const [sni, host, expected] of table) expect([sni, host, answer(sni, host)]).toEqual([sni, host, expected])
})

test('GatewayHTTPListenerIsolation: only routes of the most specific listener count', () => {
  const names = ['', '*.example.com', '*.foo.example.com', 'abc.foo.example.com']
  const { ports } = compile(
    resources(
      names.map((hostname, i) => gateway(`l${i}`, hostname, l7.Protocol.HTTP, 80)),
      names.map((hostname, i) => ({
        name: `r${i}`,
        parents: [{ listener: `l${i}`, hostnames: [{ effective: hostname, original: '' }] }],
        matches: [{ path: { kind: { case: 'prefix', value: `/l${i}` } } }],
      })),
    ),
  )
  const answer = (host: string, path: string) => ruleFor(selectListener(ports.get(80)!, host), host, path)
  const hosts = ['bar.com', 'bar.example.com', 'bar.foo.example.com', 'abc.foo.example.com']
  for (const [h, host] of hosts.entries())
    for (let p = 0; p < 4; p++) expect([host, p, answer(host, `/l${p}`)]).toEqual([host, p, h === p ? `r${p}` : '404'])
})

describe('listeners of Services', () => {
  const parents = [{ listener: 'service/shop/a/80' }]
  test('without routes: the Service itself', () => {
    expect(ruleFor(compile(resources([service()])).services.get('a.shop.svc.cluster.local:80'), 'x')).toBe(
      'service/shop/a/80',
    )
  })
  test('with routes that have not arrived: nothing matches', () => {
    expect(
      ruleFor(compile(resources([service({ hasRoutes: true })])).services.get('a.shop.svc.cluster.local:80'), 'x'),
    ).toBe('404')
  })
  test('MeshConsumerRoute: replaces the producer route for clients of its namespace', () => {
    const table = compile(
      resources(
        [service({ hasRoutes: true })],
        [
          { name: 'producer', parents },
          {
            name: 'consumer',
            parents,
            consumerNamespace: 'c',
            matches: [{ path: { kind: { case: 'prefix', value: '/c' } } }],
          },
        ],
      ),
    ).listeners.get('service/shop/a/80')
    expect(ruleFor(table, 'x', '/', undefined)).toBe('producer')
    expect(ruleFor(table, 'x', '/c', 'other')).toBe('producer')
    expect(ruleFor(table, 'x', '/c', 'c')).toBe('consumer')
    expect(ruleFor(table, 'x', '/', 'c')).toBe('404')
  })
  test.each([
    ['tcp', l7.Protocol.TCP, ['tcp', 'http', 'tcp', 'tls']],
    ['http', l7.Protocol.HTTP, ['http', 'http', 'tcp', 'tls']],
    ['unknown', l7.Protocol.UNSPECIFIED, ['unknown', 'http', 'tcp', 'tls']],
  ] as const)('%s: consumers’ routes say what their own clients speak, and nobody else’s', (_, protocol, expected) => {
    const tls = [{ listener: parents[0]!.listener, hostnames: [{ effective: 'a.example', original: 'a.example' }] }]
    const table = compile(
      resources(
        [service({ protocol })],
        [{ name: 'http', parents, consumerNamespace: 'http' }],
        [
          { name: 'tcp', parents, consumerNamespace: 'tcp' },
          { name: 'tls', parents: tls, consumerNamespace: 'tls' },
        ],
      ),
    ).listeners.get('service/shop/a/80')!
    expect(['other', 'http', 'tcp', 'tls'].map((namespace) => protocolFor(table, namespace))).toEqual(expected)
  })
  test('TCPRouteMultipleRoutes: the oldest route gets all; TLSRoute: by server name', () => {
    const at = (created: number) => ({ createdUnixMs: BigInt(created), namespace: 'n', name: `r${created}` })
    const table = compile(
      resources(
        [service()],
        [],
        [
          { name: 'young', parents, precedence: at(2) },
          { name: 'old', parents, precedence: at(1) },
          {
            name: 'tls',
            parents: [
              {
                listener: parents[0]!.listener,
                hostnames: [{ effective: 'abc.example.com', original: 'abc.example.com' }],
              },
            ],
          },
        ],
      ),
    ).listeners.get('service/shop/a/80')!
    expect(matchTcp(table, '', undefined)?.name).toBe('old')
    expect(matchTcp(table, 'abc.example.com', undefined)?.name).toBe('tls')
    expect(matchTcp(compile(resources([service()])).listeners.get('service/shop/a/80')!, '', undefined)).toBeNull()
  })
})

test('a regular expression that is none takes only its own match out of force', () => {
  const { listeners, problems } = compile(
    resources(
      [service()],
      [
        {
          name: 'r',
          parents: [{ listener: 'service/shop/a/80' }],
          matches: [
            { path: { kind: { case: 'regex', value: '(' } } },
            { index: 1, path: { kind: { case: 'exact', value: '/ok' } } },
          ],
        },
      ],
    ),
  )
  expect(problems).toMatchObject([{ resource: 'r' }])
  expect(ruleFor(listeners.get('service/shop/a/80'), 'x', '/ok')).toBe('r')
  expect(ruleFor(listeners.get('service/shop/a/80'), 'x', '/(')).toBe('404')
})

test('the expressions of a route are compiled once, however many listeners it is at', () => {
  const names = ['g', 'h']
  const { listeners } = compile(
    resources(
      names.map((name) => gateway(name, `${name}.com`)),
      [
        {
          name: 'r',
          parents: names.map((listener) => ({ listener })),
          matches: [{ path: { kind: { case: 'regex', value: '/a+' } } }],
        },
      ],
    ),
  )
  const [one, other] = names.map((name) => listeners.get(name)?.http?.any.get('')?.regexes[0]?.path)
  expect(one).toMatchObject({ kind: 'regex' })
  expect(one).toBe(other)
})

test('unknown backends and filters fail closed', () => {
  const { listeners } = compile(
    resources(
      [service()],
      [{ name: 'r', parents: [{ listener: 'service/shop/a/80' }], filters: [{}], backends: [{ weight: 1 }] }],
    ),
  )
  const found = match(
    listeners.get('service/shop/a/80')!,
    { method: 'GET', path: '/', query: '', host: '', header: () => undefined },
    undefined,
  )
  expect(found).toMatchObject({ rule: { filters: { direct: { status: 500 } }, backends: [{ kind: 'invalid' }] } })
})

describe('from a controller of a later version', () => {
  const later = 99 as l7.Protocol
  const parents = [{ listener: 'service/shop/a/80' }]
  const at = (init: MessageInitShape<typeof l7.RouteSchema>) =>
    compile(resources([service()], [{ name: 'r', parents, ...init }]))
  const of = (table: RouteTable) => table.services.get('a.shop.svc.cluster.local:80')
  const head = { method: 'GET', path: '/', query: '', host: '', header: () => '' }

  test('a listener of an unknown protocol is none, and not one of plain HTTP', () => {
    const { listeners, ports, problems } = compile(resources([gateway('g', '', later)]))
    expect([listeners.size, ports.size, problems.length]).toEqual([0, 0, 1])
  })
  test('a backend of an unknown protocol is sent nothing', () => {
    const target = { case: 'service' as const, value: { namespace: 'shop', hostname: 'b', port: 80, protocol: later } }
    const found = match(of(at({ backends: [{ weight: 1, backend: { target } }] }))!, head, undefined)
    expect(found).toMatchObject({ rule: { backends: [{ kind: 'invalid', reason: 'UnknownProtocol' }] } })
  })
  test.each<[string, MessageInitShape<typeof l7.RequestMatchSchema>]>([
    ['path', { path: {} }],
    ['header', { headers: [{ name: 'x' }] }],
    ['query', { query: [{ name: 'x' }] }],
  ])('a match of an unknown kind of %s matches nothing', (_, one) => {
    const table = at({ matches: [one] })
    expect(match(of(table)!, { ...head, query: 'x=' }, undefined).kind).toBe('no-match')
    expect(table.problems).toMatchObject([{ resource: 'r' }])
  })
  test.each(['rewrite', 'redirect'] as const)('a %s to a path of an unknown kind is answered with 500', (kind) => {
    const found = match(of(at({ filters: [{ kind: { case: kind, value: { path: {} } } }] }))!, head, undefined)
    expect(found).toMatchObject({ rule: { filters: { direct: { status: 500 } } } })
  })
})

test('the order of resources does not matter', () => {
  const routes = ['/a', '/a/b', '/'].flatMap((value, i) =>
    ['x.com', '*.com', ''].map((host, j) => ({
      name: `r${i}${j}`,
      parents: [{ listener: 'g', hostnames: [{ effective: host, original: host }] }],
      matches: [{ path: { kind: { case: 'prefix' as const, value } } }],
      precedence: { createdUnixMs: BigInt((i * j) % 2), namespace: 'n', name: `r${i}${j}` },
    })),
  )
  const answers = (order: readonly (typeof routes)[number][]) => {
    const listener = compile(resources([gateway('g', '')], order)).listeners.get('g')
    return ['x.com', 'y.com', 'z.org'].flatMap((host) =>
      ['/', '/a', '/a/b/c'].map((path) => ruleFor(listener, host, path)),
    )
  }
  const expected = answers(routes)
  fc.assert(
    fc.property(fc.shuffledSubarray(routes, { minLength: routes.length }), (order) => {
      expect(answers(order)).toEqual(expected)
    }),
    { numRuns: 30 },
  )
})

describe('a change costs what it changes', () => {
  const routeInit = (index: number, version = 'first', listener = 'g') => ({
    name: `r${index}`,
    parents: [{ listener, hostnames: [{ effective: 'x.com', original: 'x.com' }] }],
    matches: [{ path: { kind: { case: 'prefix' as const, value: `/r${index}` } } }],
    precedence: { namespace: 'n', name: `r${index}` },
    backends: [{ weight: 1, backend: { target: { case: 'invalid' as const, value: { reason: version } } } }],
  })
  const listeners = [gateway('g', ''), gateway('h', 'h.com')]
  const all = Array.from({ length: 1_000 }, (_, index) => routeInit(index, 'first', index === 0 ? 'h' : 'g'))
  const entryOf = (table: RouteTable, index: number) =>
    table.listeners.get('g')?.http?.exact.get('x.com')?.prefixes.get(`/r${index}`)?.[0]

  test('one changed route of a thousand: one step for it and one for its listener, and the others are what they were', () => {
    const compiler = new Compiler()
    const before = compile(resources(listeners, all), compiler)
    const steps = [...compiler.update(resources([], [routeInit(500, 'second')]))]
    const after = compiler.table
    expect(steps.length).toBe(2)
    expect(after.listeners.get('h')).toBe(before.listeners.get('h'))
    const isSame = (index: number) => entryOf(after, index) === entryOf(before, index)
    expect(all.filter((_, index) => index > 0 && !isSame(index)).length).toBe(1)
    expect(entryOf(before, 500)?.target.backends).toMatchObject([{ reason: 'first' }])
    expect(entryOf(after, 500)?.target.backends).toMatchObject([{ reason: 'second' }])
  })

  test('a changed listener keeps the tables of its routes', () => {
    const compiler = new Compiler()
    const before = compile(resources(listeners, all), compiler)
    const after = compile(resources([{ ...gateway('g', ''), policies: ['n/p'] }]), compiler)
    expect(after.listeners.get('g')?.policies).toEqual(['n/p'])
    expect(after.listeners.get('g')?.http).toBe(before.listeners.get('g')?.http)
    expect(after.ports.get(443)?.listeners).toContain(after.listeners.get('g'))
  })

  test('until the last step the table is the one before', () => {
    const compiler = new Compiler()
    const before = compile(resources(listeners, all), compiler)
    const steps = compiler.update(resources([], [routeInit(1, 'second'), routeInit(2, 'second')]))
    while (!steps.next().done)
      for (const index of [1, 2]) expect(entryOf(before, index)?.target.backends).toMatchObject([{ reason: 'first' }])
    for (const index of [1, 2])
      expect(entryOf(compiler.table, index)?.target.backends).toMatchObject([{ reason: 'second' }])
  })
})
