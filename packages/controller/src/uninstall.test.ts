import { fixedConnection, KubeClient } from '@wishbone/runtime/kube'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FakeApiServer } from '../test/fake-api-server.ts'
import { recorder } from '../test/wait.ts'
import { uninstall } from './uninstall.ts'

let api: FakeApiServer
let client: KubeClient
const pods = '/api/v1/pods'
const deployments = '/apis/apps/v1/deployments'
const gateways = '/apis/gateway.networking.k8s.io/v1/gateways'

beforeEach(async () => {
  api = new FakeApiServer().install(pods, deployments, '/api/v1/services', gateways)
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
