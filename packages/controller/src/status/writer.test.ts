import { fixedConnection, KubeClient } from '@wishbone/runtime/kube'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeApiServer } from '../../test/fake-api-server.ts'
import { eventually, type Recorder, recorder } from '../../test/wait.ts'
import type { Condition } from '../kinds/index.ts'
import { Store } from '../kube/store.ts'
import type { StatusOf } from '../model/index.ts'
import { StatusWriter } from './writer.ts'

const group = 'gateway.networking.k8s.io/v1'
const routes = `/apis/${group}/httproutes`
const gateways = `/apis/${group}/gateways`
const signal = new AbortController().signal
const ours = 'wishbone.dev/mesh-controller'
const stale = {
  parentRef: { name: 'other' },
  controllerName: 'gateway.networking.k8s.io/stale-controller',
  conditions: [
    {
      type: 'Accepted',
      status: 'True',
      reason: 'x',
      message: '',
      observedGeneration: 9,
      lastTransitionTime: '2001-01-01T00:00:00Z',
    },
  ],
}

let api: FakeApiServer
let client: KubeClient
let store: Store
let writer: StatusWriter
let log: Recorder
let clock: number

beforeEach(async () => {
  api = new FakeApiServer().install(routes, gateways)
  client = new KubeClient(fixedConnection(await api.listen()))
  log = recorder()
  clock = Date.parse('2030-01-01T00:00:00.500Z')
  store = new Store({ log, names: ['httpRoutes', 'gateways'], onChange: () => {} })
  writer = new StatusWriter({ client, store, log, clock: () => clock })
  api.put(routes, {
    apiVersion: group,
    kind: 'HTTPRoute',
    metadata: { name: 'r', namespace: 'shop' },
    spec: {},
    status: { parents: [stale] },
  })
  api.put(gateways, { apiVersion: group, kind: 'Gateway', metadata: { name: 'g', namespace: 'shop' }, spec: {} })
  store.start(client)
  await store.synced
})

afterEach(async () => {
  await store[Symbol.asyncDispose]()
  client.close()
  await api[Symbol.asyncDispose]()
})

const condition = (
  type: string,
  status: Condition['status'],
  reason = status === 'True' ? type : 'Nope',
): Condition => ({
  type,
  status,
  reason,
  message: '',
  observedGeneration: 1,
})

function route(name: string, ...conditions: Condition[]): StatusOf {
  const parents =
    conditions.length === 0
      ? []
      : [{ parentRef: { name: 'cart', kind: 'Service', group: '' }, controllerName: ours, conditions }]
  return {
    apiVersion: group,
    kind: 'HTTPRoute',
    namespace: 'shop',
    name,
    generation: 1,
    parents,
    parentControllers: [ours],
  }
}

function gateway(conditions: Condition[], listeners: string[] = []): StatusOf {
  return {
    apiVersion: group,
    kind: 'Gateway',
    namespace: 'shop',
    name: 'g',
    generation: 1,
    conditions,
    listeners: listeners.map((name) => ({
      name,
      attachedRoutes: 0,
      supportedKinds: [],
      conditions: [condition('Accepted', 'True')],
    })),
    addresses: [{ type: 'IPAddress', value: '10.0.0.1' }],
  }
}

interface Live {
  readonly parents: (typeof stale)[]
  readonly conditions: Condition[]
  readonly listeners: { name: string; conditions: Condition[] }[]
}
const routeStatus = () => api.find(routes, 'shop', 'r')!['status'] as Live
const gatewayStatus = () => api.find(gateways, 'shop', 'g')!['status'] as Live
const writes = () => api.requests.filter(({ method }) => method !== 'GET').length

async function settle(): Promise<void> {
  await eventually('the store', () => {
    const key = (path: string) => api.find(path, 'shop', path === routes ? 'r' : 'g')?.metadata.resourceVersion
    return (
      store.get('httpRoutes', 'shop', 'r')?.metadata.resourceVersion === key(routes) &&
      store.get('gateways', 'shop', 'g')?.metadata.resourceVersion === key(gateways)
    )
  })
}

describe('statuses of routes', () => {
  test('are added beside foreign entries, which stay byte for byte', async () => {
    await writer.write([route('r', condition('Accepted', 'True'))], signal)
    expect(routeStatus().parents).toHaveLength(2)
    expect(JSON.stringify(routeStatus().parents[0])).toBe(JSON.stringify(stale))
    expect(routeStatus().parents[1]!.conditions[0]).toMatchObject({ lastTransitionTime: '2030-01-01T00:00:00Z' })
  })

  test('leave every entry where it was', async () => {
    await writer.write([route('r', condition('Accepted', 'True'))], signal)
    await settle()
    const before = routeStatus().parents
    api.put(routes, { ...api.find(routes, 'shop', 'r')!, status: { parents: before.toReversed() } })
    await settle()
    await writer.write([route('r', condition('Accepted', 'False'))], signal)
    expect(routeStatus().parents.map(({ controllerName }) => controllerName)).toEqual([ours, stale.controllerName])
    expect(JSON.stringify(routeStatus().parents[1])).toBe(JSON.stringify(stale))
  })

  test('are written once, also while the store has not seen the write yet', async () => {
    const wanted = [route('r', condition('Accepted', 'True'))]
    expect(await writer.write(wanted, signal)).toEqual({ written: 1, failed: 0 })
    expect(await writer.write(wanted, signal)).toEqual({ written: 0, failed: 0 })
    await settle()
    expect(await writer.write(wanted, signal)).toEqual({ written: 0, failed: 0 })
    writer.reset()
    expect(await writer.write(wanted, signal)).toEqual({ written: 0, failed: 0 })
    expect(writes()).toBe(1)
  })

  test('move lastTransitionTime only when the status changes', async () => {
    await writer.write([route('r', condition('Accepted', 'True'), condition('ResolvedRefs', 'True'))], signal)
    await settle()
    clock += 60_000
    await writer.write(
      [route('r', condition('Accepted', 'True', 'OtherReason'), condition('ResolvedRefs', 'False'))],
      signal,
    )
    expect(routeStatus().parents[1]!.conditions).toMatchObject([
      { reason: 'OtherReason', lastTransitionTime: '2030-01-01T00:00:00Z' },
      { reason: 'Nope', lastTransitionTime: '2030-01-01T00:01:00Z' },
    ])
  })

  test('go away when the route has no parent of ours any more', async () => {
    await writer.write([route('r', condition('Accepted', 'True'))], signal)
    await settle()
    await writer.write([route('r')], signal)
    expect(routeStatus().parents).toEqual([stale])
  })

  test('are merged again when somebody else wrote meanwhile', async () => {
    api.fail(/PATCH .*status/, 409, 2)
    const second = { ...stale, controllerName: 'example.com/other' }
    api.put(routes, { ...api.find(routes, 'shop', 'r')!, status: { parents: [stale, second] } })
    expect(await writer.write([route('r', condition('Accepted', 'True'))], signal)).toEqual({ written: 1, failed: 0 })
    expect(routeStatus().parents.map(({ controllerName }) => controllerName)).toEqual([
      stale.controllerName,
      second.controllerName,
      ours,
    ])
  })

  test('one object that fails does not stop another, and is named once', async () => {
    api.put(routes, { apiVersion: group, kind: 'HTTPRoute', metadata: { name: 'bad', namespace: 'shop' }, spec: {} })
    await eventually('the store', () => store.get('httpRoutes', 'shop', 'bad'))
    api.fail(/PATCH .*\/bad\/status/, 422, 2)
    const wanted = [route('bad', condition('Accepted', 'True')), route('r', condition('Accepted', 'True'))]
    expect(await writer.write(wanted, signal)).toEqual({ written: 1, failed: 1 })
    expect(await writer.write(wanted, signal)).toEqual({ written: 0, failed: 1 })
    expect(log.lines.filter((line) => line.includes('HTTPRoute/shop/bad'))).toHaveLength(1)
    expect(await writer.write(wanted, signal)).toEqual({ written: 1, failed: 0 })
  })

  test('that somebody undoes again and again are written with growing pauses, and the log says so once', async () => {
    const wanted = [route('r', condition('Accepted', 'True'))]
    for (let round = 0; round < 20; round++) {
      expect((await writer.write(wanted, signal)).failed).toBe(0)
      await settle()
      api.put(routes, { ...api.find(routes, 'shop', 'r')!, status: { parents: [stale] } })
      await settle()
    }
    expect(writes()).toBe(6)
    expect(log.lines.filter((line) => line.includes('undoes'))).toHaveLength(1)
    // Though nothing changes any more.
    expect(await writer.write(wanted, signal)).toEqual({ written: 0, failed: 0, laterMs: 1_000 })
    clock += 1_000
    expect(await writer.write(wanted, signal)).toEqual({ written: 1, failed: 0 })
    const changed = [route('r', condition('Accepted', 'False'))]
    expect(await writer.write(changed, signal)).toEqual({ written: 1, failed: 0 })
  })

  test('of an object that is gone are nobody’s problem', async () => {
    expect(await writer.write([route('gone', condition('Accepted', 'True'))], signal)).toEqual({
      written: 0,
      failed: 0,
    })
  })
})

describe('statuses of Gateways', () => {
  test('are applied, and leave foreign conditions of the Gateway and of listeners alone', async () => {
    const foreign = { ...stale.conditions[0]!, type: 'example.com/Stale', status: 'True' as const }
    api.put(gateways, {
      ...api.find(gateways, 'shop', 'g')!,
      status: { conditions: [foreign], listeners: [{ name: 'http', conditions: [foreign] }] },
    })
    await settle()
    await writer.write([gateway([condition('Accepted', 'True')], ['http'])], signal)
    expect(gatewayStatus().conditions).toMatchObject([foreign, { type: 'Accepted' }])
    expect(gatewayStatus().listeners[0]!.conditions).toMatchObject([foreign, { type: 'Accepted' }])
  })

  test('are not written again while nothing changes', async () => {
    const wanted = [gateway([condition('Accepted', 'True')], ['http', 'https'])]
    await writer.write(wanted, signal)
    await settle()
    await writer.write(wanted, signal)
    writer.reset()
    await writer.write(wanted, signal)
    expect(writes()).toBe(1)
  })
})
