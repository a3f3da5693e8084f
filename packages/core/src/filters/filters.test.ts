import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { corsHeaders, isPreflight, preflightHeaders } from './cors.ts'
import { decideFault } from './fault.ts'
import { applyHeaderModifier, getHeader, setHeader } from './headers.ts'
import { createSampler } from './mirror.ts'
import { locationOf, type Redirect } from './redirect.ts'
import { rewritePath } from './rewrite.ts'

test('HTTPRouteRequestHeaderModifier: set replaces all lines, add joins, remove ignores case', () => {
  const headers = [
    'X-Set',
    'a',
    'keep',
    '',
    'x-SET',
    'b',
    'X-Add',
    'one',
    'Set-Cookie',
    'a=1',
    'gone',
    '1',
    'Gone',
    '2',
  ]
  applyHeaderModifier(headers, {
    set: [
      ['x-set', 'new'],
      ['X-Fresh', 'v'],
    ],
    add: [
      ['x-add', 'two'],
      ['set-cookie', 'b=2'],
      ['x-more', 'm'],
    ],
    remove: ['GONE'],
  })
  expect(headers).toEqual([
    'X-Set',
    'new',
    'keep',
    '',
    'X-Add',
    'one,two',
    'Set-Cookie',
    'a=1',
    'X-Fresh',
    'v',
    'set-cookie',
    'b=2',
    'x-more',
    'm',
  ])
})

test('setting a header twice is setting it once', () => {
  const list = fc.array(fc.tuple(fc.constantFrom('a', 'A', 'b'), fc.string())).map((pairs) => pairs.flat())
  fc.assert(
    fc.property(list, fc.string(), (headers, value) => {
      setHeader(headers, 'a', value)
      const once = [...headers]
      setHeader(headers, 'A', value)
      expect(headers).toEqual(once)
      expect(getHeader(headers, 'a')).toBe(value)
    }),
  )
})

test.each([
  ['/foo', '/', '/foo/bar', '/bar'],
  ['/foo', '/', '/foo', '/'],
  ['/foo', '/xyz', '/foo/bar', '/xyz/bar'],
  ['/foo', '/xyz/', '/foo/bar', '/xyz/bar'],
  ['/foo', '/xyz', '/foo', '/xyz'],
  ['/foo', '/xyz', '/foo/', '/xyz/'],
  ['/foo', '', '/foo/bar', '/bar'],
  ['', '/xyz', '/bar', '/xyz/bar'],
])('HTTPRouteRewritePath: prefix %s by %s: %s → %s', (matchedPrefix, value, path, expected) => {
  expect(rewritePath({ kind: 'prefix', value }, path, matchedPrefix)).toBe(expected)
})

describe('HTTPRouteRedirect', () => {
  const facts = {
    scheme: 'http',
    host: 'a.example',
    path: '/x/y',
    query: 'q=1',
    matchedPrefix: '/x',
    listenerPort: 8080,
  }
  const none: Redirect = { scheme: '', hostname: '', path: undefined, port: 0, status: 302 }
  test.each([
    ['the listener port when no scheme is given', {}, {}, 'http://a.example:8080/x/y?q=1'],
    ['a well-known port is left out', {}, { listenerPort: 80 }, 'http://a.example/x/y?q=1'],
    ['the port of the scheme', { scheme: 'https' }, {}, 'https://a.example/x/y?q=1'],
    ['the port that is asked for', { scheme: 'https', port: 8443 }, {}, 'https://a.example:8443/x/y?q=1'],
    ['443 is not well known for http', { scheme: 'http', port: 443 }, {}, 'http://a.example:443/x/y?q=1'],
    ['another host', { hostname: 'example.org' }, { listenerPort: 80 }, 'http://example.org/x/y?q=1'],
    [
      'a port that is found elsewhere',
      { scheme: 'https' },
      { publicPort: (port: number) => port + 8000 },
      'https://a.example:8443/x/y?q=1',
    ],
    [
      'but of another host',
      { scheme: 'https', hostname: 'example.org' },
      { publicPort: (port: number) => port + 8000 },
      'https://example.org/x/y?q=1',
    ],
    ['a full path', { path: { kind: 'full', value: '/z' } }, { listenerPort: 80 }, 'http://a.example/z?q=1'],
    ['a prefix', { path: { kind: 'prefix', value: '/z' } }, { listenerPort: 80, query: '' }, 'http://a.example/z/y'],
  ] as const)('%s', (_name, redirect, more, expected) => {
    expect(locationOf({ ...none, ...redirect } as Redirect, { ...facts, ...more })).toBe(expected)
  })
})

describe('HTTPRouteCORS', () => {
  const policy = {
    allowOrigins: ['https://www.foo.com', 'https://*.bar.com'],
    allowCredentials: true,
    allowMethods: ['GET', 'OPTIONS'],
    allowHeaders: ['x-1', 'x-2'],
    exposeHeaders: ['x-3'],
    maxAgeSeconds: 3600,
  }
  test.each([
    ['https://www.foo.com', true],
    ['https://a.b.bar.com', true],
    ['https://bar.com', false],
    ['http://a.bar.com', false],
    ['https://a.bar.com:8443', false],
    ['https://evil.com/.bar.com', false],
  ])('origin %s: %s', (origin, allowed) => {
    expect(getHeader(corsHeaders(policy, origin), 'access-control-allow-origin')).toBe(allowed ? origin : undefined)
  })
  test('without credentials the header is left out and wildcards stay wildcards', () => {
    const open = { ...policy, allowOrigins: ['*'], allowCredentials: false, allowMethods: ['*'], allowHeaders: ['*'] }
    const headers = preflightHeaders(open, { origin: 'http://x:12345', method: 'POST', headers: 'x-9' })
    expect(getHeader(headers, 'access-control-allow-origin')).toBe('*')
    expect(getHeader(headers, 'access-control-allow-methods')).toBe('*')
    expect(getHeader(headers, 'access-control-allow-credentials')).toBeUndefined()
  })
  test('with credentials wildcards echo what was asked for', () => {
    const open = { ...policy, allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'] }
    const headers = preflightHeaders(open, { origin: 'http://x', method: 'PUT', headers: 'x-9, x-8' })
    expect(getHeader(headers, 'access-control-allow-origin')).toBe('http://x')
    expect(getHeader(headers, 'access-control-allow-methods')).toBe('PUT')
    expect(getHeader(headers, 'access-control-allow-headers')).toBe('x-9, x-8')
  })
  test('a GET with the preflight header is no preflight', () => {
    expect(isPreflight('GET', 'http://x', 'POST')).toBe(false)
    expect(isPreflight('OPTIONS', 'http://x', undefined)).toBe(false)
    expect(isPreflight('OPTIONS', 'http://x', 'POST')).toBe(true)
  })
})

test('faults are drawn in their shares', () => {
  const fault = { delayMs: 5000, delayPercent: 30, abortStatus: 503, abortGrpcStatus: undefined, abortPercent: 50 }
  const draws = [0.29, 0.49]
  expect(decideFault(fault, () => draws.shift()!)).toEqual({
    delayMs: 5000,
    abort: { status: 503, grpcStatus: undefined },
  })
  const others = [0.3, 0.5]
  expect(decideFault(fault, () => others.shift()!)).toEqual({ delayMs: 0, abort: undefined })
  expect(decideFault({ ...fault, delayPercent: 100, abortPercent: 0 }, () => 0.999)).toEqual({
    delayMs: 5000,
    abort: undefined,
  })
})

test('HTTPRouteRequestPercentageMirror: any share is exact', () => {
  fc.assert(
    fc.property(fc.nat(100), fc.integer({ min: 1, max: 100 }), (numerator, denominator) => {
      const sample = createSampler(numerator, denominator)
      let hits = 0
      for (let i = 0; i < denominator * 3; i++) if (sample()) hits++
      expect(hits).toBe(Math.min(numerator, denominator) * 3)
    }),
  )
})
