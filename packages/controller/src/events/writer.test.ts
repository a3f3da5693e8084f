import { fixedConnection, KubeClient } from '@wishbone/runtime/kube'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FakeApiServer } from '../../test/fake-api-server.ts'
import type { EventOf } from '../model/index.ts'
import { EventWriter } from './writer.ts'

const events = '/api/v1/events'
const signal = new AbortController().signal
const wrong: EventOf = {
  object: { apiVersion: 'v1', kind: 'Namespace', namespace: '', name: 'shop', uid: 'u1' },
  reason: 'WaypointMissing',
  message: 'there is no waypoint shop/wp',
}

let api: FakeApiServer
let client: KubeClient
let clock: number
let writer: EventWriter
const told = () => [...(api.collections.get(events)?.values() ?? [])]
const posts = () => api.requests.filter(({ method }) => method === 'POST').length

beforeEach(async () => {
  api = new FakeApiServer().install(events)
  client = new KubeClient(fixedConnection(await api.listen()))
  clock = Date.parse('2030-01-01T00:00:00Z')
  writer = new EventWriter({ client, instance: 'controller-1', clock: () => clock })
})

afterEach(async () => {
  client.close()
  await api[Symbol.asyncDispose]()
})

async function after(seconds: number, ...wanted: EventOf[]) {
  clock += seconds * 1000
  return writer.write(wanted, signal)
}

test('what lasts is told once, in the namespace for what has none', async () => {
  expect(await after(0, wrong)).toEqual({ written: 0, failed: 0, laterMs: 3000 })
  expect(await after(3, wrong)).toEqual({ written: 1, failed: 0, laterMs: undefined })
  expect(await after(60, wrong)).toEqual({ written: 0, failed: 0, laterMs: undefined })
  expect(told()).toMatchObject([
    {
      metadata: { namespace: 'default' },
      involvedObject: wrong.object,
      type: 'Warning',
      reason: 'WaypointMissing',
      message: wrong.message,
    },
  ])
})

test('what passes at once is not told', async () => {
  await after(0, wrong)
  await after(2)
  await after(2, wrong)
  expect(posts()).toBe(0)
})

test('is told again before the API server has forgotten it, and by the next leader without a second one', async () => {
  await after(0, wrong)
  await after(3, wrong)
  await after(50 * 60, wrong)
  writer = new EventWriter({ client, instance: 'controller-2', clock: () => clock })
  await after(0, wrong)
  await after(10, wrong)
  expect(posts()).toBe(3)
  expect(told()).toHaveLength(1)
  expect(told()[0]!['lastTimestamp']).toBe('2030-01-01T00:50:13Z')
})

test('is tried again when the API fails', async () => {
  await after(0, wrong)
  api.fail(/POST/, 500, 1)
  expect(await after(3, wrong)).toMatchObject({ written: 0, failed: 1 })
  expect(await after(1, wrong)).toMatchObject({ written: 1, failed: 0 })
})

test('those that the API refuses are not tried in a loop, and keep no others from being told', async () => {
  const many = Array.from({ length: 150 }, (_, i) => ({ ...wrong, message: `no waypoint ${i}` }))
  await after(0, ...many)
  api.fail(/POST/, 403, 100)
  expect(await after(3, ...many)).toEqual({ written: 0, failed: 100, laterMs: 100 })
  api.fail(/POST/, 403, 50)
  // The new ones, and what there is room for beside them; then it is the caller's pause that counts.
  expect(await after(1, ...many)).toEqual({ written: 50, failed: 50, laterMs: undefined })
  expect(await after(1, ...many)).toEqual({ written: 100, failed: 0, laterMs: undefined })
})

test('what does not fit into one round is told in the next', async () => {
  const many = Array.from({ length: 150 }, (_, i) => ({ ...wrong, message: `no waypoint ${i}` }))
  await after(0, ...many)
  expect(await after(3, ...many)).toEqual({ written: 100, failed: 0, laterMs: 100 })
  expect(await after(1, ...many)).toEqual({ written: 50, failed: 0, laterMs: undefined })
})
