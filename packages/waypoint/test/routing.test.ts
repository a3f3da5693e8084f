// Requests through real sockets: matching, filters, weights and answers of the proxy's own.
import { l7 } from '@wishbone/proto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startWorld, to, type World } from './harness.ts'
import { ask, type Backend, echo } from './servers.ts'

let world: World
const backends: Backend[] = []

beforeAll(async () => {
  backends.push(await echo('v1'), await echo('v2'))
  world = await startWorld({ v1: [backends[0]!.port], v2: [backends[1]!.port], empty: [] }, [])
})

afterAll(async () => {
  await world.waypoint.close()
  for (const backend of backends) backend.close()
})

describe('HTTPRouteSimpleSameNamespace', () => {
  test('forwards path and query as received, and says who asked', async () => {
    await world.setRoutes([{ backends: [to('v1')] }])
    const answer = await ask(world.port, {
      path: '/a//b/../%zz?x=%41&y',
      headers: { host: 'Example.com:123', 'x-empty': '' },
    })
    expect(answer.status).toBe(200)
    const seen = JSON.parse(answer.body)
    expect(seen.url).toBe('/a//b/../%zz?x=%41&y')
    expect(seen.headers).toMatchObject({
      host: 'Example.com:123',
      'x-empty': '',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
    })
    expect(seen.headers.connection).toBe('keep-alive')
  })

  test('404 without a match, 500 for an invalid backend and for none, 503 without endpoints', async () => {
    await world.setRoutes([
      { matches: [{ path: { kind: { case: 'prefix', value: '/only' } } }], backends: [to('v1')] },
      {
        matches: [{ path: { kind: { case: 'prefix', value: '/broken' } } }],
        backends: [
          {
            weight: 1,
            backend: { target: { case: 'invalid', value: { reason: 'BackendNotFound', message: 'no Service x' } } },
          },
        ],
      },
      { matches: [{ path: { kind: { case: 'prefix', value: '/none' } } }], backends: [] },
      { matches: [{ path: { kind: { case: 'prefix', value: '/empty' } } }], backends: [to('empty')] },
    ])
    for (const [path, status] of [
      ['/', 404],
      ['/broken', 500],
      ['/none', 500],
      ['/empty', 503],
      ['/only/x', 200],
      ['/onlyx', 404],
    ] as const)
      expect([path, (await ask(world.port, { path })).status]).toEqual([path, status])
  })
})

test('HTTPRouteWeight: shares are exact, a backend of weight 0 gets nothing', async () => {
  await world.setRoutes([{ backends: [to('v1', 9), to('v2', 1), to('empty', 0)] }])
  const counts: Record<string, number> = {}
  for (let i = 0; i < 200; i++) {
    const { name } = JSON.parse((await ask(world.port)).body)
    counts[name] = (counts[name] ?? 0) + 1
  }
  expect(counts).toEqual({ v1: 180, v2: 20 })
})

test('HTTPRouteRequestHeaderModifier, ResponseHeaderModifier and backend filters', async () => {
  await world.setRoutes([
    {
      filters: [
        {
          kind: {
            case: 'requestHeaders',
            value: { set: [{ name: 'X-Set', value: 'new' }], add: [{ name: 'X-Add', value: 'b' }], remove: ['x-gone'] },
          },
        },
        {
          kind: {
            case: 'responseHeaders',
            value: { set: [{ name: 'X-Answer', value: 'yes' }], add: [], remove: ['content-type'] },
          },
        },
      ],
      backends: [
        to('v1', 1, l7.Protocol.HTTP, [
          { kind: { case: 'requestHeaders', value: { set: [{ name: 'Backend', value: 'v1' }] } } },
        ]),
      ],
    },
  ])
  const answer = await ask(world.port, { headers: { 'x-set': 'old', 'x-add': 'a', 'X-Gone': '1', host: 'h' } })
  expect(answer.headers['x-answer']).toBe('yes')
  expect(answer.headers['content-type']).toBeUndefined()
  expect(JSON.parse(answer.body).headers).toMatchObject({ 'x-set': 'new', 'x-add': 'a,b', backend: 'v1' })
  expect(JSON.parse(answer.body).headers['x-gone']).toBeUndefined()
})

test('HTTPRouteRewritePath and RewriteHost', async () => {
  await world.setRoutes([
    {
      matches: [{ path: { kind: { case: 'prefix', value: '/strip-prefix' } } }],
      filters: [
        {
          kind: {
            case: 'rewrite',
            value: { hostname: 'one.example.org', path: { kind: { case: 'prefix', value: '/' } } },
          },
        },
      ],
      backends: [to('v1')],
    },
  ])
  const seen = JSON.parse(
    (await ask(world.port, { path: '/strip-prefix?q=1', headers: { host: 'rewrite.example' } })).body,
  )
  expect(seen.url).toBe('/?q=1')
  expect(seen.headers.host).toBe('one.example.org')
})

test('HTTPRouteRedirectPort: the listener port is the default', async () => {
  await world.setRoutes([
    { filters: [{ kind: { case: 'redirect', value: { hostname: 'example.org', status: 301 } } }], backends: [] },
  ])
  const answer = await ask(world.port, { path: '/x?y', headers: { host: 'a.example' } })
  expect([answer.status, answer.headers.location]).toEqual([301, 'http://example.org:8080/x?y'])
})

test('HTTPRouteCORS: preflight is answered, ordinary requests get the headers', async () => {
  const cors = {
    allowOrigins: ['https://*.bar.com'],
    allowCredentials: true,
    allowMethods: ['GET', 'OPTIONS'],
    allowHeaders: ['x-a'],
    exposeHeaders: ['x-b'],
    maxAgeSeconds: 3600,
  }
  await world.setRoutes([{ filters: [{ kind: { case: 'cors', value: cors } }], backends: [to('v1')] }])
  const origin = 'https://www.deep.bar.com'
  const preflight = await ask(world.port, {
    method: 'OPTIONS',
    headers: { host: 'h', origin, 'access-control-request-method': 'GET' },
  })
  expect(preflight.status).toBe(204)
  expect(preflight.headers).toMatchObject({
    'access-control-allow-origin': origin,
    'access-control-allow-methods': 'GET, OPTIONS',
    'access-control-allow-headers': 'x-a',
    'access-control-expose-headers': 'x-b',
    'access-control-max-age': '3600',
    'access-control-allow-credentials': 'true',
  })
  expect((await ask(world.port, { headers: { host: 'h', origin } })).headers['access-control-allow-origin']).toBe(
    origin,
  )
  const other = await ask(world.port, { headers: { host: 'h', origin: 'https://evil.com' } })
  expect([other.status, other.headers['access-control-allow-origin']]).toEqual([200, undefined])
})

test('CORS: what the backend says of caches stays, and what it says of CORS is replaced', async () => {
  const said = [
    { name: 'vary', value: 'Accept-Encoding' },
    { name: 'access-control-allow-methods', value: 'GET' },
    { name: 'access-control-allow-origin', value: '*' },
  ]
  const origin = 'https://a.bar.com'
  const filters = [
    { kind: { case: 'responseHeaders' as const, value: { set: said } } },
    { kind: { case: 'cors' as const, value: { allowOrigins: [origin] } } },
  ]
  await world.setRoutes([{ filters, backends: [to('v1')] }])
  const { headers } = await ask(world.port, { headers: { host: 'h', origin } })
  expect(headers).toMatchObject({ vary: 'Accept-Encoding,Origin', 'access-control-allow-origin': origin })
})

test('a fault delays and aborts', async () => {
  await world.setRoutes([
    {
      matches: [{ headers: [{ name: 'Slow', kind: { case: 'exact', value: '1' } }] }],
      filters: [{ kind: { case: 'fault', value: { delay: { seconds: 0n, nanos: 200e6 }, delayPercent: 100 } } }],
      backends: [to('v1')],
    },
    { filters: [{ kind: { case: 'fault', value: { abortStatus: 418, abortPercent: 100 } } }], backends: [to('v1')] },
  ])
  const started = Date.now()
  expect((await ask(world.port, { headers: { host: 'h', slow: '1' } })).status).toBe(200)
  expect(Date.now() - started).toBeGreaterThanOrEqual(195)
  expect((await ask(world.port)).status).toBe(418)
})

test('metrics and one access-log line for each request', async () => {
  await world.setRoutes([{ name: 'HTTPRoute/shop/measured/0', backends: [to('v2')] }])
  const before = world.accessLog.length
  await ask(world.port, {
    method: 'POST',
    path: '/mea"sured',
    body: 'hello',
    headers: { host: 'hx', 'content-length': '5' },
  })
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(world.accessLog.slice(before)).toMatchObject([
    {
      method: 'POST',
      path: '/mea"sured',
      host: 'hx',
      status: 200,
      flags: '-',
      request_bytes: 5,
      route: 'HTTPRoute/shop/measured/0',
      'dst.workload': 'v2-0',
    },
  ])
  const text = await world.metrics.text()
  expect(text).toMatch(
    /istio_requests_total\{reporter="source",.*destination_workload="v2".*response_code="200".*\} \d+/,
  )
  expect(text).toMatch(/istio_request_duration_milliseconds_bucket\{.*le="\+Inf"\} \d+/)
})
