import { create } from '@bufbuild/protobuf'
import { l7 } from '@wishbone/proto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { RouteTable } from '../compile/index.ts'
import { ResourceStore } from './store.ts'

const route = (name: string, version = '') =>
  create(l7.RouteSchema, {
    name,
    parents: [{ listener: 'g' }],
    matches: [{ path: { kind: { case: 'exact', value: `/${name}` } } }],
    backends: [{ weight: 1, backend: { target: { case: 'invalid', value: { reason: version } } } }],
  })
const listener = create(l7.ListenerSchema, { name: 'g', bound: { case: 'gateway', value: { port: 80 } } })
const named = <T extends { readonly name: string }>(...all: readonly T[]) => all.map((one) => [one.name, one] as const)

function versionsOf({ listeners }: RouteTable): readonly string[] {
  const lists = listeners.get('g')?.http?.any.get('')?.exact.values() ?? []
  return [...lists].flatMap(([entry]) => entry!.target.backends.map((one) => ('reason' in one ? one.reason : '')))
}

/** Every step has a turn of its own. */
const inSteps = { limitMs: 0 }

test('what is applied in one turn of the event loop is in force together, at its end', async () => {
  const store = new ResourceStore({ limitMs: Number.POSITIVE_INFINITY })
  const tables: RouteTable[] = []
  store.onChange((table) => tables.push(table))
  store.apply('routes', named(route('a', '1')), [])
  store.apply('listeners', named(listener), [])
  expect(store.table.listeners.size).toBe(0)
  await null
  expect(tables.map(versionsOf)).toEqual([['1']])
})

test('what needs many turns is in force as a whole, and what comes meanwhile after it', async () => {
  const store = new ResourceStore(inSteps)
  store.apply('listeners', named(listener), [])
  store.apply('routes', named(route('a', '1'), route('b', '1'), route('c', '1')), [])
  await store.settled
  const tables: (readonly string[])[] = []
  store.onChange((table) => tables.push(versionsOf(table)))
  store.apply('routes', named(route('a', '2'), route('b', '2'), route('c', '2')), [])
  const settled = store.settled
  await new Promise(setImmediate)
  expect(versionsOf(store.table)).toEqual(['1', '1', '1'])
  store.apply('routes', named(route('a', '3')), ['b'])
  await settled
  expect(tables).toEqual([
    ['2', '2', '2'],
    ['2', '3'],
  ])
})

test('flush ends what is under way', async () => {
  const store = new ResourceStore(inSteps)
  store.apply('listeners', named(listener), [])
  store.apply('routes', named(route('a', '1'), route('b', '1')), [])
  await new Promise(setImmediate)
  store.flush()
  expect(versionsOf(store.table)).toEqual(['1', '1'])
  await store.settled
  store.apply('routes', [], ['a', 'b'])
  store.flush()
  expect(versionsOf(store.table)).toEqual([])
})

const change = fc.oneof(
  fc.record({
    kind: fc.constant('routes' as const),
    come: fc.subarray(['a', 'b', 'c']),
    version: fc.constantFrom('1', '2', '3'),
    gone: fc.subarray(['a', 'b', 'c']),
  }),
  fc.record({ kind: fc.constant('listener' as const), gone: fc.boolean() }),
  fc.constant({ kind: 'turn' as const }),
  fc.constant({ kind: 'flush' as const }),
)

test('whatever comes between which turns: in the end the last of everything is in force, and subscribers were told', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 20 }), async (changes) => {
      const store = new ResourceStore(inSteps)
      let told = store.table
      store.onChange((table) => {
        told = table
      })
      const routes = new Map<string, string>()
      let listens = false
      for (const one of changes) {
        if (one.kind === 'flush') store.flush()
        else if (one.kind === 'turn') await new Promise(setImmediate)
        else if (one.kind === 'listener') {
          listens = !one.gone
          store.apply('listeners', one.gone ? [] : named(listener), one.gone ? ['g'] : [])
        } else {
          for (const name of one.gone) routes.delete(name)
          for (const name of one.come) routes.set(name, one.version)
          store.apply('routes', named(...one.come.map((name) => route(name, one.version))), one.gone)
        }
      }
      await store.settled
      expect(told).toBe(store.table)
      expect([...versionsOf(store.table)].sort()).toEqual(listens ? [...routes.values()].sort() : [])
    }),
    { numRuns: 100 },
  )
})
