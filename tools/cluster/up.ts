// Starts the cluster: checks, binaries, images, network, control plane, nodes, cluster DNS.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { KubeClient, type KubeObject, loadConnection, resourcePath } from '../../packages/runtime/src/kube/index.ts'
import { buildMissing } from './build.ts'
import { containersGroup, foldersOf } from './cgroups.ts'
import { apiServer, controllerManager, etcd, loadBalancer, scheduler } from './control-plane.ts'
import { checkHostNetwork, makeHostNetwork, routeLoadBalancers } from './host-network.ts'
import { prepareImages } from './images.ts'
import { startNode } from './node.ts'
import { requirePackages, requireRoot } from './packages.ts'
import { makePki } from './pki.ts'
import { isAlive, recordOf, start } from './process.ts'
import { Records } from './records.ts'
import { removeCluster } from './remove.ts'
import { nodes, paths } from './settings.ts'
import { ClusterError, say, until } from './shell.ts'

export async function up(options: { readonly install: boolean }): Promise<void> {
  requireRoot()
  requirePackages(options.install)
  await buildMissing()
  const records = new Records(join(paths.state, 'records'))
  if (records.all.length > 0) {
    say('removing the remains of an earlier run')
    await removeCluster(records, { keepImages: true })
  }
  checkHostNetwork()
  prepareImages()
  makePki()
  makeHostNetwork(records)
  if (foldersOf(containersGroup).length === 0) records.add({ kind: 'cgroup', path: containersGroup })
  say('starting the control plane')
  await start('etcd', etcd)
  await start('kube-apiserver', apiServer)
  process.env['KUBECONFIG'] = paths.kubeconfig
  const client = new KubeClient(await loadConnection(), 'wishbone-cluster')
  await waitForApi(client)
  say('the API server is ready')
  await start('controller-manager', controllerManager)
  await start('scheduler', scheduler)
  await Promise.all(nodes.map((node) => startNode(records, node)))
  routeLoadBalancers(records, nodes)
  await applyManifests(client)
  await start('load-balancer', loadBalancer, { KUBECONFIG: join(paths.state, 'load-balancer.kubeconfig') })
  await waitForNodes(client)
  say('the nodes are ready')
  await waitForDns(client)
  say('the cluster is up')
  client.close()
}

async function waitForApi(client: KubeClient): Promise<void> {
  const alive = (): boolean => ['etcd', 'kube-apiserver'].every((name) => isAlive(recordOf(name)))
  const ready = await until(
    async () => {
      if (!alive()) return true
      return client.request('GET', '/readyz', { timeoutMs: 2000 }).then(
        () => true,
        (cause: unknown) => cause instanceof SyntaxError, // the answer is the word "ok"
      )
    },
    90_000,
    200,
  )
  if (!ready || !alive())
    throw new ClusterError(`the API server does not come up; see etcd.log and kube-apiserver.log in ${paths.logs}`)
}

async function applyManifests(client: KubeClient): Promise<void> {
  const text = readFileSync(join(import.meta.dirname, 'manifests.yaml'), 'utf8')
  for (const document of parseAllDocuments(text)) {
    const object = document.toJS() as KubeObject
    const plural = `${object.kind.toLowerCase()}s`
    const kind = { ...object, plural, namespaced: object.metadata.namespace !== undefined }
    await client.apply(resourcePath(kind, object.metadata.namespace, object.metadata.name), object, 'wishbone-cluster')
  }
}

interface Condition {
  readonly type: string
  readonly status: string
}

async function waitForNodes(client: KubeClient): Promise<void> {
  const ready = await until(
    async () => {
      const { items } = await client.get<{ items: { status?: { conditions?: Condition[] } }[] }>('/api/v1/nodes')
      const isReady = (conditions: readonly Condition[] = []): boolean =>
        conditions.some(({ type, status }) => type === 'Ready' && status === 'True')
      return items.filter(({ status }) => isReady(status?.conditions)).length === nodes.length
    },
    120_000,
    250,
  )
  if (!ready) throw new ClusterError(`the nodes do not become Ready; see ${paths.logs}`)
}

async function waitForDns(client: KubeClient): Promise<void> {
  const path = '/apis/apps/v1/namespaces/kube-system/deployments/coredns'
  const ready = await until(
    async () => {
      const { status } = await client.get<{ status?: { readyReplicas?: number } }>(path)
      return (status?.readyReplicas ?? 0) >= 1
    },
    120_000,
    250,
  )
  if (!ready) throw new ClusterError(`cluster DNS does not become ready; see 'kubectl -n kube-system get pods'`)
}
