import { fixedConnection, KubeClient } from '@wishbone/runtime/kube'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeApiServer } from '../../test/fake-api-server.ts'
import { eventually, type Recorder, recorder } from '../../test/wait.ts'
import { type WatchedName, watchedKinds } from './resources.ts'
import { freezeSnapshot } from './snapshot.ts'
import { Store, type StoreObserver } from './store.ts'

const pods = '/api/v1/pods'
const routes = '/apis/gateway.networking.k8s.io/v1/httproutes'
const pod = (name: string, labels: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'shop', labels },
  spec: {},
})

let api: FakeApiServer
let client: KubeClient
let store: Store
let log: Recorder
let changes: WatchedName[]

beforeEach(async () => {
  api = new FakeApiServer().install(pods)
  client = new KubeClient(fixedConnection(await api.listen()))
  log = recorder()
  changes = []
})

afterEach(async () => {
  await store[Symbol.asyncDispose]()
  client.close()
  await api[Symbol.asyncDispose]()
})

function start(
  names: readonly WatchedName[] = ['pods'],
  options: { pageSize?: number; observer?: StoreObserver } = {},
): void {
  const backoff = { firstMs: 5, maxMs: 20 }
  store = new Store({ log, names, onChange: (name) => void changes.push(name), backoff, absentMs: 20, ...options })
  store.start(client)
}

const names = () =>
  store
    .objects('pods')
    .map(({ metadata }) => metadata.name)
    .sort()

describe('a store', () => {
  test('lists in pages and says when it has everything', async () => {
    for (let i = 0; i < 7; i++) api.put(pods, pod(`p${i}`))
    start(['pods'], { pageSize: 3 })
    await store.synced
    expect(names()).toEqual(['p0', 'p1', 'p2', 'p3', 'p4', 'p5', 'p6'])
    expect(api.requests.filter(({ url }) => url.includes('limit=3'))).toHaveLength(3)
    expect(store.objects('pods')[0]).toMatchObject({ apiVersion: 'v1', kind: 'Pod' })
  })

  test('follows additions, changes and deletions, and keeps its array while nothing changes', async () => {
    start()
    await store.synced
    const before = store.objects('pods')
    expect(store.objects('pods')).toBe(before)
    api.put(pods, pod('a'))
    await eventually('the addition', () => names().length === 1)
    api.put(pods, pod('a', { x: '1' }))
    await eventually('the change', () => store.get('pods', 'shop', 'a')?.metadata.labels?.['x'] === '1')
    api.remove(pods, 'shop', 'a')
    await eventually('the deletion', () => names().length === 0)
    expect(store.objects('pods')).not.toBe(before)
  })

  test('freezes objects all the way down and leaves managed fields out', async () => {
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': '{}', keep: 'me' }
    api.put(pods, {
      ...pod('a'),
      metadata: { name: 'a', namespace: 'shop', managedFields: [{}], annotations },
      spec: { containers: [{}] },
    })
    start()
    await store.synced
    const object = store.get('pods', 'shop', 'a')!
    expect(Object.isFrozen((object['spec'] as { containers: unknown[] }).containers[0])).toBe(true)
    expect(object.metadata).not.toHaveProperty('managedFields')
    expect(object.metadata.annotations).toEqual({ keep: 'me' })
  })

  test('keeps of ConfigMaps what is read, and does not wake anybody for the rest', async () => {
    const maps = '/api/v1/configmaps'
    const put = (data: Record<string, string>) =>
      api.put(maps, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: 'shop' }, data })
    put({ deployment: 'spec: {}', heartbeat: '1' })
    start(['configMaps'])
    await store.synced
    await eventually('the watch', () => api.watcherCount === 1)
    expect(store.get('configMaps', 'shop', 'a')?.['data']).toEqual({ deployment: 'spec: {}', heartbeat: '' })
    const before = changes.length
    const { metadata } = put({ deployment: 'spec: {}', heartbeat: '2' })
    await eventually('the version', () => {
      return store.get('configMaps', 'shop', 'a')?.metadata.resourceVersion === metadata.resourceVersion
    })
    expect(changes).toHaveLength(before)
    put({ deployment: 'spec: {replicas: 2}', heartbeat: '3' })
    await eventually('the change', () => changes.length > before)
  })

  test('resumes a broken watch where it was, without another list', async () => {
    api.put(pods, pod('a'))
    start()
    await store.synced
    await eventually('the watch', () => api.watcherCount === 1)
    api.cut()
    api.put(pods, pod('b'))
    await eventually('what happened meanwhile', () => names().length === 2)
    expect(api.requests.filter(({ url }) => url.includes('limit='))).toHaveLength(1)
  })

  test.each(['in the stream', 'at the start of a watch'])(
    'lists again after 410 %s, and notices deletions',
    async (where) => {
      api.put(pods, pod('a'))
      api.put(pods, pod('b'))
      start()
      await store.synced
      await eventually('the watch', () => api.watcherCount === 1)
      if (where !== 'in the stream') api.cut()
      api.collections.get(pods)!.delete('shop/a')
      api.expire()
      await eventually('the new list', () => names().join() === 'b')
    },
  )

  test('starts the list over when it expires between two pages', async () => {
    for (let i = 0; i < 4; i++) api.put(pods, pod(`p${i}`))
    api.fail(/continue=/, 410, 1)
    start(['pods'], { pageSize: 2 })
    await store.synced
    expect(names()).toHaveLength(4)
  })

  test('takes an absent kind as empty, says so once, and finds it when it is installed', async () => {
    start(['pods', 'httpRoutes'])
    await store.synced
    expect(store.states().get('httpRoutes')?.state).toEqual({ kind: 'absent' })
    expect(store.objects('httpRoutes')).toEqual([])
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(log.lines).toEqual([
      'info kinds that are not installed; taken as empty until they are {"kinds":"HTTPRoute.gateway.networking.k8s.io/v1"}',
    ])
    api.put(routes, {
      apiVersion: watchedKinds.httpRoutes.apiVersion,
      kind: 'HTTPRoute',
      metadata: { name: 'r', namespace: 'shop' },
    })
    await eventually('the route', () => store.objects('httpRoutes').length === 1)
    await eventually('a line', () => log.lines.some((line) => line.includes('HTTPRoute is installed now')))
  })

  test('believes only a second 404 that a kind is gone', async () => {
    const route = { apiVersion: watchedKinds.httpRoutes.apiVersion, kind: 'HTTPRoute' }
    api.put(routes, { ...route, metadata: { name: 'r', namespace: 'shop' } })
    start(['httpRoutes'])
    await store.synced
    await eventually('the watch', () => api.watcherCount === 1)
    api.fail(/routes/, 404, 1)
    api.cut()
    await eventually('a new watch', () => api.requests.filter(({ url }) => url.includes('limit=')).length === 2)
    expect(changes).toEqual(['httpRoutes'])
    await eventually('the watch', () => api.watcherCount === 1)
    api.collections.delete(routes)
    api.cut()
    await eventually('the end of the kind', () => store.objects('httpRoutes').length === 0)
    await eventually('a line', () => log.lines.some((line) => line.includes('HTTPRoute is not installed any more')))
  })

  test('never believes that pods are gone: something else answers in the place of the API', async () => {
    api.put(pods, pod('a'))
    start()
    await store.synced
    await eventually('the watch', () => api.watcherCount === 1)
    api.fail(/pods/, 404, 8)
    api.cut()
    await eventually('a new watch', () => api.requests.length > 10 && api.watcherCount === 1)
    expect(changes).toEqual(['pods'])
    expect(names()).toEqual(['a'])
  })

  test('never takes for a list what is none: something else answers everything with 200', async () => {
    api.put(pods, pod('a'))
    start()
    await store.synced
    await eventually('the watch', () => api.watcherCount === 1)
    api.fail(/limit=/, 200, 3)
    api.expire()
    await eventually('the failure', () => store.states().get('pods')?.state?.kind === 'failing')
    expect(names()).toEqual(['a'])
    api.put(pods, pod('b'))
    await eventually('recovery', () => names().length === 2)
    expect(changes).toEqual(['pods', 'pods'])
  })

  test('lists again when the API refuses its watch again and again', async () => {
    start()
    await store.synced
    await eventually('the watch', () => api.watcherCount === 1)
    api.fail(/watch=true/, 504, 4)
    api.cut()
    await eventually('a list', () => api.requests.filter(({ url }) => url.includes('limit=')).length === 2)
  })

  test('tells how late an event was, and how long there was silence', async () => {
    const delays: number[] = []
    const observer = { changed: () => {}, state: () => {}, delayed: (_: WatchedName, s: number) => void delays.push(s) }
    start(['pods'], { observer })
    await store.synced
    await eventually('the watch', () => api.watcherCount === 1)
    const time = new Date(Date.now() - 20_000).toISOString()
    api.put(pods, { ...pod('a'), metadata: { name: 'a', namespace: 'shop', managedFields: [{ time }] } })
    await eventually('the event', () => delays.length === 1)
    expect(delays[0]).toBeGreaterThan(19)
    api.remove(pods, 'shop', 'a')
    await eventually('the deletion', () => names().length === 0)
    expect(delays).toHaveLength(1)
    expect(store.states().get('pods')!.silentMs).toBeLessThan(4_000)
  })

  test('keeps what it knows while the API fails, and goes on afterwards', async () => {
    api.put(pods, pod('a'))
    start()
    await store.synced
    await eventually('the watch', () => api.watcherCount === 1)
    api.fail(/watch=true/, 500, 5)
    api.cut()
    await eventually('the failure', () => store.states().get('pods')?.state?.kind === 'failing')
    expect(names()).toEqual(['a'])
    api.put(pods, pod('b'))
    await eventually('recovery', () => names().length === 2)
  })

  test('is not synced while a kind is refused, and says why', async () => {
    api.fail(/pods/, 403, 1_000)
    start()
    await eventually('the reason', () => store.pending()[0]?.includes('403'))
    expect(store.pending()[0]).toMatch(/^pods \(GET \/api\/v1\/pods: 403/)
  })

  test('a snapshot has every member, also of kinds without objects', async () => {
    api.put(pods, pod('a'))
    start()
    await store.synced
    const snapshot = freezeSnapshot(store, 7)
    expect(snapshot.pods).toBe(store.objects('pods'))
    expect(snapshot.gateways).toEqual([])
    expect(snapshot.nowUnixMs).toBe(7)
  })
})
