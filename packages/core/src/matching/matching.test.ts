import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareEntries, type Entry } from './entry.ts'
import type { RequestHead } from './group.ts'
import { buildHostTable, findEntry, firstEntry, matchesHostname } from './host.ts'
import { compilePath, matchesPath, type PathSpec } from './path.ts'
import { parseQuery } from './query.ts'
import { HostTableDraft } from './table-draft.ts'
import { compileValues, matchesValue, type ValueSpec } from './value.ts'

interface EntryInit {
  readonly effective?: string
  readonly original?: string
  readonly path?: PathSpec
  readonly method?: string
  readonly headers?: readonly ValueSpec[]
  readonly query?: readonly ValueSpec[]
  readonly created?: number
  readonly name?: string
  readonly rule?: number
  readonly match?: number
}

function entry(target: string, init: EntryInit = {}): Entry<string> {
  return {
    effective: init.effective ?? init.original ?? '',
    original: init.original ?? '',
    path: compilePath(init.path)!,
    method: init.method ?? '',
    headers: compileValues(init.headers ?? [], true)!,
    query: compileValues(init.query ?? [], false)!,
    precedence: {
      createdUnixMs: init.created ?? 0,
      namespace: 'ns',
      name: init.name ?? 'route',
      rule: init.rule ?? 0,
      match: init.match ?? 0,
    },
    resource: target,
    target,
  }
}

function head(init: {
  host?: string
  method?: string
  target?: string
  headers?: Record<string, string>
}): RequestHead {
  const [path = '/', query = ''] = (init.target ?? '/').split('?')
  return { method: init.method ?? 'GET', path, query, host: init.host ?? 'any', header: (name) => init.headers?.[name] }
}

function find(entries: readonly Entry<string>[], request: Parameters<typeof head>[0]): string | undefined {
  const facts = head(request)
  return findEntry(buildHostTable(entries), facts)?.target
}

/** What the specification says, entry by entry. */
function search(entries: readonly Entry<string>[], request: RequestHead): Entry<string> | undefined {
  const query = parseQuery(request.query)
  return entries
    .toSorted(compareEntries)
    .find(
      ({ effective, path, method, headers, query: queries }) =>
        matchesHostname(effective, request.host) &&
        matchesPath(path, request.path) &&
        (method === '' || method === request.method) &&
        headers.every((match) => matchesValue(match, request.header(match.name))) &&
        queries.every((match) => matchesValue(match, query.get(match.name))),
    )
}

const exact = (name: string, value: string): ValueSpec => ({ name, kind: 'exact', value })

test.each([
  ['/v2', '/v2', true],
  ['/v2', '/v2/', true],
  ['/v2', '/v2/example', true],
  ['/v2', '/v2example', false],
  ['/match/', '/match', true],
  ['/match/', '/match/x', true],
  ['/', '/anything', true],
  ['/', '*', false],
])('HTTPRouteMatching: prefix %s and path %s: %s', (value, path, expected) => {
  expect(matchesPath(compilePath({ kind: 'prefix', value })!, path)).toBe(expected)
})

test('regular expressions are anchored and linear', () => {
  const path = compilePath({ kind: 'regex', value: '/(a+)+b?' })!
  expect(matchesPath(path, '/aaaa')).toBe(true)
  expect(matchesPath(path, '/x/aaaa')).toBe(false)
  const started = performance.now()
  expect(matchesPath(path, `/${'a'.repeat(5_000)}!`)).toBe(false)
  expect(performance.now() - started).toBeLessThan(1_000)
  expect(compilePath({ kind: 'regex', value: '(?=x)(' })).toBeUndefined()
})

describe('HTTPRoutePathMatchOrder', () => {
  const entries = [
    entry('prefix', { path: { kind: 'prefix', value: '/match' } }),
    entry('longer', { path: { kind: 'prefix', value: '/match/prefix/one' } }),
    entry('shorter', { path: { kind: 'prefix', value: '/match/prefix' } }),
    entry('exact', { path: { kind: 'exact', value: '/match/exact' } }),
    entry('exact-one', { path: { kind: 'exact', value: '/match/exact/one' } }),
    entry('slash', { path: { kind: 'prefix', value: '/' } }),
  ]
  test.each([
    ['/match/exact', 'exact'],
    ['/match/exact/one', 'exact-one'],
    ['/match/exact/two', 'prefix'],
    ['/match/prefix/one/any', 'longer'],
    ['/match/prefix/any', 'shorter'],
    ['/match/any', 'prefix'],
    ['/matched', 'slash'],
  ])('%s → %s', (target, expected) => {
    expect(find(entries, { target })).toBe(expected)
    expect(find([...entries].reverse(), { target })).toBe(expected)
  })
})

test('HTTPRouteMatchingAcrossRoutes: method before headers before query, then age, name, rule, match', () => {
  const headers = [exact('a', '1'), exact('b', '2')]
  const query = [exact('q', '1'), exact('r', '2'), exact('s', '3')]
  const order = [
    entry('method', { method: 'GET' }),
    entry('two headers', { headers }),
    entry('one header and query', { headers: headers.slice(0, 1), query }),
    entry('one header', { headers: headers.slice(0, 1) }),
    entry('query', { query }),
    entry('old', { created: 1, name: 'z' }),
    entry('a name', { created: 2, name: 'a', rule: 9 }),
    entry('first rule', { created: 2, name: 'b', rule: 0, match: 9 }),
    entry('first match', { created: 2, name: 'b', rule: 1, match: 0 }),
    entry('last', { created: 2, name: 'b', rule: 1, match: 1 }),
  ]
  expect(
    [...order]
      .reverse()
      .sort(compareEntries)
      .map(({ target }) => target),
  ).toEqual(order.map(({ target }) => target))
})

test('HTTPRouteHeaderMatching and QueryParamMatching: names of headers without case, of parameters with', () => {
  const entries = [
    entry('header', { headers: [exact('Version', 'two'), exact('VERSION', 'ignored')] }),
    entry('query', { query: [exact('Animal', 'whale')] }),
    entry('regex', { query: [{ name: 'animal', kind: 'regex', value: 'd.*n' }] }),
  ]
  expect(find(entries, { headers: { version: 'two' } })).toBe('header')
  expect(find(entries, { headers: { version: 'Two' } })).toBeUndefined()
  expect(find(entries, { target: '/?Animal=whale' })).toBe('query')
  expect(find(entries, { target: '/?animal=whale' })).toBeUndefined()
  expect(find(entries, { target: '/?animal=d%6Flphin&animal=x' })).toBe('regex')
})

describe('HTTPRouteHostnameIntersection', () => {
  test.each([
    ['', 'a.example.com', true],
    ['*.example.com', 'a.example.com', true],
    ['*.example.com', 'a.b.example.com', true],
    ['*.example.com', 'example.com', false],
    ['*.example.com', '.example.com', false],
    ['a.example.com', 'a.example.com', true],
    ['a.example.com', 'b.a.example.com', false],
  ])('%s and host %s: %s', (pattern, host, expected) => {
    expect(matchesHostname(pattern, host)).toBe(expected)
  })

  test('MultipleRoutesAttachmentSameHostnameIntersection: the original hostname decides before path and age', () => {
    const entries = [
      entry('wildcard', {
        effective: 'very.specific.com',
        original: '*.specific.com',
        created: 1,
        path: { kind: 'exact', value: '/long' },
      }),
      entry('exact', { original: 'very.specific.com', created: 9 }),
    ]
    expect(find(entries, { host: 'very.specific.com', target: '/long' })).toBe('exact')
  })

  test('falls through to less specific hostnames when no rule matches', () => {
    const entries = [
      entry('any'),
      entry('wildcard', { original: '*.example.com', headers: [exact('b', '1')] }),
      entry('longer wildcard', { original: '*.deep.example.com', headers: [exact('c', '1')] }),
      entry('exact', { original: 'a.deep.example.com', headers: [exact('d', '1')] }),
    ]
    const host = 'a.deep.example.com'
    expect(find(entries, { host, headers: { d: '1', c: '1' } })).toBe('exact')
    expect(find(entries, { host, headers: { c: '1', b: '1' } })).toBe('longer wildcard')
    expect(find(entries, { host, headers: { b: '1' } })).toBe('wildcard')
    expect(find(entries, { host })).toBe('any')
    expect(find(entries, { host: 'other.example.com', headers: { c: '1', b: '1' } })).toBe('wildcard')
  })
})

const word = fc.constantFrom('', 'a', 'b', 'ab')
const anyEntry = fc
  .record({
    original: fc.constantFrom('', 'a.b.c', '*.b.c', '*.c', 'x.c'),
    effective: fc.constantFrom('', 'a.b.c', '*.b.c', '*.c', 'x.c'),
    path: fc.record({
      kind: fc.constantFrom('exact' as const, 'prefix' as const, 'regex' as const),
      value: word.map((text) => `/${text}`),
    }),
    method: fc.constantFrom('', 'GET', 'POST'),
    headers: fc.array(
      word.map((value) => exact('h', value)),
      { maxLength: 2 },
    ),
    query: fc.array(
      word.map((value) => exact('q', value)),
      { maxLength: 2 },
    ),
    created: fc.nat(2),
    name: word,
    rule: fc.nat(1),
    match: fc.nat(1),
  })
  .chain((init) => word.map((target) => entry(target, init)))

test('the comparator is a total order', () => {
  fc.assert(
    fc.property(anyEntry, anyEntry, anyEntry, (a, b, c) => {
      const sign = (x: number) => Math.sign(x) + 0
      expect(compareEntries(a, a)).toBe(0)
      expect(sign(compareEntries(a, b)) + sign(compareEntries(b, a))).toBe(0)
      if (compareEntries(a, b) <= 0 && compareEntries(b, c) <= 0) expect(compareEntries(a, c)).toBeLessThanOrEqual(0)
    }),
  )
})

const anyPath = fc.array(fc.constantFrom('', 'a', 'b', 'ab'), { maxLength: 4 }).map((parts) => `/${parts.join('/')}`)
const anyRequest = fc
  .record({
    host: fc.constantFrom('a.b.c', 'x.c', 'y.b.c', 'c', 'q'),
    path: anyPath,
    method: fc.constantFrom('GET', 'POST'),
    h: word,
    q: word,
  })
  .map(({ host, path, method, h, q }) => head({ host, method, target: `${path}?q=${q}`, headers: { h } }))
const deepEntry = fc
  .tuple(anyEntry, anyPath, fc.constantFrom('exact' as const, 'prefix' as const))
  .map(([one, value, kind]): Entry<string> => ({ ...one, path: compilePath({ kind, value })! }))

test('a table answers as a search through all entries would', () => {
  const entries = fc.array(fc.oneof(anyEntry, deepEntry), { maxLength: 30 })
  fc.assert(
    fc.property(entries, anyRequest, (all, request) => {
      const table = buildHostTable(all)
      expect(findEntry(table, request)).toEqual(search(all, request))
      const first = all.toSorted(compareEntries).find(({ effective }) => matchesHostname(effective, request.host))
      expect(firstEntry(table, request.host)).toEqual(first)
    }),
    { numRuns: 2_000 },
  )
})

test('a table changed by a draft answers as one made from nothing, and the one before answers as before', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(anyEntry, deepEntry), { maxLength: 20 }),
      fc.array(fc.oneof(anyEntry, deepEntry), { maxLength: 10 }),
      fc.nat(),
      anyRequest,
      (before, added, seed, request) => {
        const table = buildHostTable(before)
        const removed = before.filter((_, index) => (seed >> (index % 16)) & 1)
        const draft = new HostTableDraft(table)
        for (const one of removed) draft.remove(one)
        for (const one of added) draft.add(one)
        const now = [...before.filter((one) => !removed.includes(one)), ...added]
        const changed = draft.finish()
        expect(findEntry(changed, request)).toEqual(search(now, request))
        expect(findEntry(table, request)).toEqual(search(before, request))
        const rest = new HostTableDraft(changed)
        for (const one of now) rest.remove(one)
        const empty = rest.finish()
        expect([...empty.exact, ...empty.wildcard, ...empty.any]).toEqual([])
      },
    ),
  )
})

test('a draft makes anew only the lists that its entries are in', () => {
  const path = (value: string) => ({ path: { kind: 'exact' as const, value } })
  const one = entry('one', { original: 'one.example' })
  const other = entry('other', { original: 'other.example', ...path('/other') })
  const beside = entry('beside', { original: 'other.example', ...path('/beside') })
  const before = buildHostTable([one, other, beside])
  const draft = new HostTableDraft(before)
  draft.remove(other)
  draft.add(entry('new', { original: 'other.example', ...path('/other') }))
  const after = draft.finish()
  const listOf = ({ exact }: typeof before, host: string, path: string) => exact.get(host)?.exact.get(path)
  expect(after.exact.get('one.example')).toBe(before.exact.get('one.example'))
  expect(listOf(after, 'other.example', '/beside')).toBe(listOf(before, 'other.example', '/beside'))
  expect(listOf(after, 'other.example', '/other')).not.toBe(listOf(before, 'other.example', '/other'))
  expect(after.wildcard).toBe(before.wildcard)
})

test('an entry finds its place among thousands of one path by few comparisons', () => {
  let compared = 0
  const counted = (index: number): Entry<string> =>
    Object.defineProperty(entry(`r${index}`, { name: `r${index}` }), 'original', {
      get() {
        compared++
        return ''
      },
    })
  const draft = new HostTableDraft(buildHostTable(Array.from({ length: 4096 }, (_, index) => counted(index))))
  compared = 0
  draft.add(entry('new', { name: 'r2048.5' }))
  expect(compared).toBeLessThanOrEqual(13 * 4)
})

test('what is looked at does not grow with the number of routes', () => {
  let looked = 0
  const counted = (index: number): Entry<string> => {
    const one = entry(`r${index}`, { path: { kind: 'prefix', value: `/p${index}` }, name: `r${index}` })
    return Object.defineProperty({ ...one }, 'method', {
      get() {
        looked++
        return ''
      },
    })
  }
  const counts = [100, 10_000].map((size) => {
    const table = buildHostTable(Array.from({ length: size }, (_, index) => counted(index)))
    findEntry(table, head({ target: '/p0' }))
    looked = 0
    expect(findEntry(table, head({ target: `/p${size - 1}/x/y` }))?.target).toBe(`r${size - 1}`)
    return looked
  })
  expect(counts[1]).toBe(counts[0])
})

test('the query of a request is read once, however many entries ask for it', () => {
  const entries = Array.from({ length: 50 }, (_, index) =>
    entry(`r${index}`, { query: [exact('version', String(index))], match: index }),
  )
  let reads = 0
  const asked = {
    ...head({}),
    get query() {
      reads++
      return 'a&version=49'
    },
  }
  expect(findEntry(buildHostTable(entries), asked)?.target).toBe('r49')
  expect(reads).toBe(1)
})

test('query parsing never throws and keeps the first of equal names', () => {
  expect([...parseQuery('a=1&a=2&b&c=%zz&d=x+y&=v&&e=%E2%82%AC')]).toEqual([
    ['a', '1'],
    ['b', ''],
    ['c', '%zz'],
    ['d', 'x y'],
    ['', 'v'],
    ['e', '€'],
  ])
  fc.assert(fc.property(fc.string(), (text) => void parseQuery(text)))
})
