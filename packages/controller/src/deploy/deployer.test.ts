import { fixedConnection, KubeClient } from '@wishbone/runtime/kube'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeApiServer } from '../../test/fake-api-server.ts'
import { eventually, type Recorder, recorder } from '../../test/wait.ts'
import { Store } from '../kube/store.ts'
import type { Desired } from '../model/index.ts'
import { contains } from './contains.ts'
import { Deployer } from './deployer.ts'

const services = '/api/v1/services'
const deployments = '/apis/apps/v1/deployments'
const accounts = '/api/v1/serviceaccounts'
const signal = new AbortController().signal

let api: FakeApiServer
let client: KubeClient
let store: Store
let deployer: Deployer
let log: Recorder
let blockedChanges: number

beforeEach(async () => {
  api = new FakeApiServer().install(services, deployments, accounts)
  client = new KubeClient(fixedConnection(await api.listen()))
  log = recorder()
  blockedChanges = 0
  store = new Store({ log, names: ['services', 'deployments', 'serviceAccounts'], onChange: () => {} })
  deployer = new Deployer({ client, store, log, onBlocked: () => void blockedChanges++ })
  store.start(client)
  await store.synced
})

afterEach(async () => {
  await store[Symbol.asyncDispose]()
  client.close()
  await api[Symbol.asyncDispose]()
})

const service = (port: number): Desired => ({
  kind: 'apply',
  object: {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'wp', namespace: 'shop' },
    spec: { ports: [{ port }] },
  },
})
const account: Desired = {
  kind: 'apply',
  object: { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'wp', namespace: 'shop' } },
}
const deployment: Desired = {
  kind: 'apply',
  object: {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'wp', namespace: 'shop' },
    spec: { replicas: 1 },
  },
}
const writes = () => api.requests.filter(({ method }) => method !== 'GET')

async function settle(): Promise<void> {
  await eventually('the store', () => {
    const live = api.find(services, 'shop', 'wp')
    return store.get('services', 'shop', 'wp')?.metadata.resourceVersion === live?.metadata.resourceVersion
  })
}

describe('the deployer', () => {
  test('makes what is wanted, accounts first, marked as its own', async () => {
    expect(await deployer.reconcile([service(80), deployment, account], signal)).toEqual({ written: 3, failed: 0 })
    expect(writes().map(({ url }) => url.split('?')[0]!.split('/').at(-2))).toEqual([
      'serviceaccounts',
      'deployments',
      'services',
    ])
    expect(api.find(services, 'shop', 'wp')?.metadata['labels']).toEqual({
      'wishbone.dev/managed-by': 'wishbone-controller',
    })
  })

  test('writes nothing while nothing changes, nor after a restart', async () => {
    await deployer.reconcile([service(80)], signal)
    await deployer.reconcile([service(80)], signal)
    await settle()
    await deployer.reconcile([service(80)], signal)
    deployer.reset()
    await deployer.reconcile([service(80)], signal)
    expect(writes()).toHaveLength(1)
  })

  test('follows changes of what is wanted, and undoes edits by others', async () => {
    await deployer.reconcile([service(80)], signal)
    await settle()
    await deployer.reconcile([service(81)], signal)
    await settle()
    expect(api.find(services, 'shop', 'wp')?.['spec']).toEqual({ ports: [{ port: 81 }] })
    api.put(services, { ...api.find(services, 'shop', 'wp')!, spec: { ports: [{ port: 9 }] } })
    await settle()
    await deployer.reconcile([service(81)], signal)
    expect(api.find(services, 'shop', 'wp')?.['spec']).toEqual({ ports: [{ port: 81 }] })
  })

  test('forgets the complaint about what nobody wants any more', async () => {
    const complaints = () => log.lines.filter((line) => line.includes('cannot write an object')).length
    api.fail(/services/, 500, 4)
    await deployer.reconcile([service(80)], signal)
    await deployer.reconcile([service(80)], signal)
    expect(complaints()).toBe(1)
    await deployer.reconcile([], signal)
    await deployer.reconcile([service(80)], signal)
    expect(complaints()).toBe(2)
  })

  test('keeps what is to be kept, whatever it is like', async () => {
    await deployer.reconcile([service(80)], signal)
    await settle()
    const ref = { apiVersion: 'v1', kind: 'Service', namespace: 'shop', name: 'wp' }
    expect(await deployer.reconcile([{ kind: 'keep', ref }], signal)).toEqual({ written: 0, failed: 0 })
    expect(api.find(services, 'shop', 'wp')).toBeDefined()
  })

  test('tells what the API server does not accept', async () => {
    const words = (between: string) =>
      `failed to create typed patch object (shop/wp; apps/v1, Kind=Deployment): errors:${between}.spec.a: field not declared in schema${between}.spec.b: field not declared in schema`
    api.fail(/PATCH .*deployments/, 500, 1, words('\n  '))
    await deployer.reconcile([deployment, service(80)], signal)
    expect([...deployer.blocked]).toEqual([['Deployment/shop/wp', { kind: 'refused', message: words(' ') }]])
    await deployer.reconcile([deployment, service(80)], signal)
    expect(deployer.blocked.size).toBe(0)
  })

  test('is content with somebody else’s object where that is enough', async () => {
    const foreign = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'wp', namespace: 'shop' } }
    api.put(services, { ...foreign, spec: { controllerName: 'example.com/x' } })
    await settle()
    const wanted = { ...service(80), unlessForeign: true } as Desired
    expect(await deployer.reconcile([wanted], signal)).toEqual({ written: 0, failed: 0 })
    await deployer.reconcile([wanted], signal)
    expect(deployer.blocked.size).toBe(0)
    expect(log.lines.filter((line) => line.includes('left alone'))).toHaveLength(1)
  })

  test('makes again what somebody deleted', async () => {
    await deployer.reconcile([service(80)], signal)
    await settle()
    await deployer.reconcile([service(80)], signal)
    api.remove(services, 'shop', 'wp')
    await eventually('the store', () => store.get('services', 'shop', 'wp') === undefined)
    await deployer.reconcile([service(80)], signal)
    expect(api.find(services, 'shop', 'wp')).toBeDefined()
  })

  test('takes away what it made and nobody wants, and nothing else', async () => {
    api.put(services, { apiVersion: 'v1', kind: 'Service', metadata: { name: 'users', namespace: 'shop' }, spec: {} })
    await deployer.reconcile([service(80)], signal)
    await settle()
    await deployer.reconcile([], signal)
    expect(api.find(services, 'shop', 'wp')).toBeUndefined()
    expect(api.find(services, 'shop', 'users')).toBeDefined()
  })

  test('does not touch an object that it did not make, and says which', async () => {
    api.put(services, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'wp', namespace: 'shop' },
      spec: { ports: [{ port: 1 }] },
    })
    await settle()
    await deployer.reconcile([service(80), account], signal)
    await deployer.reconcile([service(80), account], signal)
    await deployer.reconcile(
      [{ kind: 'delete', ref: { apiVersion: 'v1', kind: 'Service', namespace: 'shop', name: 'wp' } }],
      signal,
    )
    expect(api.find(services, 'shop', 'wp')?.['spec']).toEqual({ ports: [{ port: 1 }] })
    expect(blockedChanges).toBe(2)
    expect(log.lines.filter((line) => line.includes('in the way'))).toHaveLength(1)
  })

  test('starts no pods under an account that it did not make', async () => {
    api.put(accounts, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'wp', namespace: 'shop' } })
    const pods: Desired = {
      kind: 'apply',
      object: {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'wp', namespace: 'shop' },
        spec: { template: { spec: { serviceAccountName: 'wp' } } },
      },
    }
    await deployer.reconcile([pods, account], signal)
    expect([...deployer.blocked.keys()]).toEqual(['ServiceAccount/shop/wp'])
    expect(api.find(deployments, 'shop', 'wp')).toBeUndefined()
  })

  test('sees what is in the way even if the store does not watch it', async () => {
    api.put(deployments, {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'wp', namespace: 'shop' },
      spec: {},
    })
    store = new Store({ log, names: ['services'], onChange: () => {} })
    deployer = new Deployer({ client, store, log })
    await deployer.reconcile([deployment], signal)
    expect([...deployer.blocked.keys()]).toEqual(['Deployment/shop/wp'])
    expect(deployer.blocked.get('Deployment/shop/wp')).toEqual({
      kind: 'foreign',
      message: expect.stringContaining('was not made by this controller'),
    })
  })

  test('leaves alone what belongs to a Gateway that only its own store does not know', async () => {
    const gateways = '/apis/gateway.networking.k8s.io/v1/gateways'
    const gateway = { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway' }
    const { uid } = api.put(gateways, { ...gateway, metadata: { name: 'wp', namespace: 'shop' } }).metadata
    const owned = structuredClone(service(80)) as Extract<Desired, { kind: 'apply' }>
    const ownerReferences = [{ ...gateway, name: 'wp', uid: uid! }]
    Object.assign(owned.object.metadata, { ownerReferences })
    await deployer.reconcile([owned], signal)
    await settle()
    expect(await deployer.reconcile([], signal)).toEqual({ written: 0, failed: 1 })
    expect(api.find(services, 'shop', 'wp')).toBeDefined()
    api.remove(gateways, 'shop', 'wp')
    expect(await deployer.reconcile([], signal)).toEqual({ written: 1, failed: 0 })
    expect(api.find(services, 'shop', 'wp')).toBeUndefined()
  })

  test('what is in the way is so until the API says otherwise, whatever fails meanwhile', async () => {
    api.fail(/PATCH .*services/, 422, 1)
    await deployer.reconcile([service(80)], signal)
    expect([...deployer.blocked.keys()]).toEqual(['Service/shop/wp'])
    api.fail(/PATCH .*services/, 503, 1)
    await deployer.reconcile([service(80)], signal)
    expect([...deployer.blocked.keys()]).toEqual(['Service/shop/wp'])
    await deployer.reconcile([service(80)], AbortSignal.abort())
    expect([...deployer.blocked.keys()]).toEqual(['Service/shop/wp'])
    await deployer.reconcile([service(80)], signal)
    expect(deployer.blocked.size).toBe(0)
  })

  test('one object that fails does not stop the others', async () => {
    api.fail(/PATCH .*deployments/, 500, 1)
    expect(await deployer.reconcile([deployment, service(80)], signal)).toEqual({ written: 1, failed: 1 })
    expect(await deployer.reconcile([deployment, service(80)], signal)).toEqual({ written: 1, failed: 0 })
  })
})

test.each([
  [{ a: 1, b: 2 }, { a: 1 }, true],
  [{ a: 1 }, { a: 1, b: 2 }, false],
  [{ a: [{ x: 1, y: 2 }] }, { a: [{ x: 1 }] }, true],
  [{ a: [1, 2] }, { a: [1] }, false],
  [{}, { a: [] }, true],
  [{}, { a: {} }, true],
  [{ a: '1' }, { a: 1 }, false],
])('contains(%j, %j) is %s', (live, wanted, expected) => {
  expect(contains(live, wanted)).toBe(expected)
})

test('what the API refuses again and again is not sent anew for each translation, and at once when it has changed', async () => {
  api.fail(/PATCH .*services/, 422, 99)
  for (let round = 0; round < 10; round++) {
    expect(await deployer.reconcile([service(80)], signal)).toEqual({ written: 0, failed: 1 })
    expect([...deployer.blocked.keys()]).toEqual(['Service/shop/wp'])
  }
  const sent = () => api.requests.filter(({ method, url }) => method === 'PATCH' && url.includes('services')).length
  expect(sent()).toBe(2)
  await deployer.reconcile([service(81)], signal)
  expect(sent()).toBe(3)
})
