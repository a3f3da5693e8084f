import { fixedConnection, KubeClient } from '@wishbone/runtime/kube'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeApiServer } from '../test/fake-api-server.ts'
import { recorder } from '../test/wait.ts'
import { uninstall } from './uninstall.ts'

let api: FakeApiServer
let client: KubeClient
const pods = '/api/v1/pods'
const deployments = '/apis/apps/v1/deployments'
const gateways = '/apis/gateway.networking.k8s.io/v1/gateways'
const classes = '/apis/gateway.networking.k8s.io/v1/gatewayclasses'

beforeEach(async () => {
  api = new FakeApiServer().install(pods, deployments, '/api/v1/services', gateways, classes)
  client = new KubeClient(fixedConnection(await api.listen()))
  const ours = { 'wishbone.dev/managed-by': 'wishbone-controller' }
  const metadata = (namespace: string, name: string, labels = {}) => ({ namespace, name, labels })
  api.put(deployments, { ...deployment, metadata: metadata('wishbone-system', 'wishbone-controller') })
  api.put(deployments, { ...deployment, metadata: metadata('shop', 'waypoint', ours) })
  api.put(deployments, { ...deployment, metadata: metadata('shop', 'web') })
  api.put(gateways, {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: metadata('shop', 'users'),
  })
})
afterEach(async () => {
  client.close()
  await api[Symbol.asyncDispose]()
})

const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: '' } }
const pod = (name: string, annotations: Record<string, string>, phase = 'Running') => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'shop', annotations },
  spec: { nodeName: 'node1' },
  status: { phase },
})
const run = (timeoutMs: number) =>
  uninstall({ client, namespace: 'wishbone-system', timeoutMs, pollMs: 10, log: recorder() })

test('waits until no pod is in the mesh, then deletes the controller and what it made, and nothing else', async () => {
  api.put(pods, pod('web', { 'ambient.istio.io/redirection': 'enabled' }))
  api.put(pods, pod('job', { 'ambient.istio.io/redirection': 'enabled' }, 'Succeeded'))
  setTimeout(() => {
    expect(api.find(deployments, 'shop', 'waypoint')).toBeDefined()
    api.put(pods, pod('web', {}))
  }, 100)
  expect(await run(5_000)).toEqual([])
  expect([...api.collections.get(deployments)!.keys()]).toEqual(['shop/web'])
  expect(api.find(gateways, 'shop', 'users')).toBeDefined()
})

test('names the nodes that did not answer, and goes on', async () => {
  api.put(pods, pod('web', { 'ambient.istio.io/redirection': 'enabled' }))
  expect(await run(30)).toEqual(['node1'])
  expect(api.find(deployments, 'wishbone-system', 'wishbone-controller')).toBeUndefined()
})

describe('the Gateways that users wrote', () => {
  const gatewayClass = (name: string, controllerName: string) => ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GatewayClass',
    metadata: { name },
    spec: { controllerName },
    status: { conditions: [{ type: 'Accepted', status: 'True', reason: 'Accepted' }] },
  })
  const gateway = (name: string, gatewayClassName: string, labels = {}) => ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { namespace: 'shop', name, labels },
    spec: { gatewayClassName },
    status: { conditions: served },
  })
  const condition = (type: string, status: string) => ({ type, status, reason: type, message: '' })
  const served = [condition('Accepted', 'True'), condition('Programmed', 'True'), condition('example.com/Seen', 'True')]
  const conditions = (path: string, namespace: string, name: string) =>
    (api.find(path, namespace, name)!['status'] as { readonly conditions: unknown }).conditions

  beforeEach(() => {
    api.put(classes, gatewayClass('ours', 'wishbone.dev/gateway-controller'))
    api.put(classes, gatewayClass('theirs', 'example.com/controller'))
    api.put(gateways, gateway('edge', 'ours'))
    api.put(gateways, gateway('other', 'theirs'))
    api.put(gateways, gateway('wishbone-auto', 'ours', { 'wishbone.dev/managed-by': 'wishbone-controller' }))
  })

  test('say that nothing serves them any more, and their classes that nobody looks at them', async () => {
    expect(await run(30)).toEqual([])
    const left = (type: string, status: string) => ({
      ...{ type, status, reason: 'Pending', observedGeneration: 1 },
      message: expect.stringContaining('Wishbone was uninstalled'),
      lastTransitionTime: expect.stringMatching(/Z$/),
    })
    expect(conditions(gateways, 'shop', 'edge')).toEqual([
      left('Accepted', 'Unknown'),
      left('Programmed', 'False'),
      served[2],
    ])
    expect(conditions(classes, '', 'ours')).toEqual([left('Accepted', 'Unknown')])
  })

  test('of other controllers are left alone', async () => {
    await run(30)
    expect(conditions(gateways, 'shop', 'other')).toEqual(served)
    expect(conditions(classes, '', 'theirs')).toEqual([{ type: 'Accepted', status: 'True', reason: 'Accepted' }])
  })

  test('are served no more before what serves them goes, and after the controller went', async () => {
    await run(30)
    const writes = api.requests.filter(({ method }) => method !== 'GET').map(({ method, url }) => `${method} ${url}`)
    const at = (text: string) => writes.findIndex((write) => write.includes(text))
    expect(at('deployments/wishbone-controller')).toBeLessThan(at('gateways/edge/status'))
    expect(at('gateways/edge/status')).toBeLessThan(at('deployments/waypoint'))
  })

  test('keep nothing from going that can not be written', async () => {
    api.fail(/PATCH .*\/status/, 403, 9)
    await run(30)
    expect(api.find(deployments, 'shop', 'waypoint')).toBeUndefined()
    expect(conditions(gateways, 'shop', 'edge')).toEqual(served)
  })
})
