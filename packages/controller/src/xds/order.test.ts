import { typeUrls } from '@wishbone/proto'
import { expect, test } from 'vitest'
import type { ResourceSet } from '../model/index.ts'
import { publicationOrder } from './clients.ts'

const withListeners = (...names: readonly string[]): ResourceSet =>
  ({
    ztunnel: new Map(),
    gateway: new Map([[typeUrls.listener, new Map(names.map((name) => [name, { version: '1' }]))]]),
    scopes: new Map(),
  }) as unknown as ResourceSet

test.each([
  ['the first configuration reaches waypoints first', undefined, withListeners('a'), 'gateway'],
  ['a Service that is bound: its waypoint first', withListeners('a'), withListeners('a', 'b'), 'gateway'],
  ['a Service that is let go: the ztunnels first', withListeners('a', 'b'), withListeners('a'), 'ztunnel'],
  ['no listener at all any more', withListeners('a'), withListeners(), 'ztunnel'],
] as const)('%s', (_title, before, next, first) => {
  expect(publicationOrder(before, next)[0]).toBe(first)
})
