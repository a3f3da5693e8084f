// Starts the cluster: checks, binaries, images, network, control plane, nodes, cluster DNS.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { type KubeClient, type KubeObject, resourcePath } from '../../packages/runtime/src/kube/index.ts'
import { buildMissing } from './build.ts'
import { containersGroup, foldersOf } from './cgroups.ts'
import { apiServer, controllerManager, etcd, loadBalancer, scheduler } from './control-plane.ts'
import { checkHostNetwork, makeHostNetwork } from './host-network.ts'
import { prepareImages } from './images.ts'
import { nodeNamed, startNode, stopNode } from './node.ts'
import { found, requirePackages } from './packages.ts'
import { makePki } from './pki.ts'
import { start } from './process.ts'
import type { Records } from './records.ts'
import { removeCluster } from './remove.ts'
import { kubernetesVersion, nodes, paths } from './settings.ts'
import { say } from './shell.ts'
import { markComplete, openRecords, readState } from './state.ts'
import { waitForApi, waitForDns, waitForNodes, withClient } from './wait.ts'

export interface UpOptions {
  /** Whether missing Debian packages may be installed. */
  readonly install: boolean
}

/** Leaves a cluster that is whole as it is, starts missing nodes, and begins anew where only remains are. */
export async function up(options: UpOptions): Promise<void> {
  requirePackages(options.install)
  const state = await readState()
  const records = openRecords()
  if (state.kind === 'healthy') say('the cluster is up already')
  else if (state.kind === 'nodes-down') {
    const missing = state.names.map(nodeNamed)
    say(`starting ${state.names.join(' and ')}`)
    const startedMs = Date.now()
    for (const node of missing) {
      await stopNode(node)
      await startNode(records, node)
    }
    await withClient((client) => waitForNodes(client, missing, startedMs))
  } else {
    await buildMissing()
    if (state.kind === 'remains') {
      say(`${state.reason}: removing the remains`)
      await removeCluster(records)
    }
    checkHostNetwork()
    prepareImages()
    await startAll(records)
    markComplete()
  }
  say(`Kubernetes ${kubernetesVersion} with ${nodes.map(({ name }) => name).join(' and ')} is up`)
  if (!found('kubectl')) process.stdout.write(`export PATH=$PATH:${paths.bin}\n`)
  process.stdout.write(`export KUBECONFIG=${paths.kubeconfig}\n`)
}

async function startAll(records: Records): Promise<void> {
  const startedMs = Date.now()
  makePki()
  makeHostNetwork(records)
  if (foldersOf(containersGroup).length === 0) records.add({ kind: 'cgroup', path: containersGroup })
  say('starting the control plane')
  await start('etcd', etcd)
  await start('kube-apiserver', apiServer)
  await withClient(async (client) => {
    await waitForApi(client)
    say('the API server is ready; starting the nodes')
    await start('controller-manager', controllerManager)
    await start('scheduler', scheduler)
    await Promise.all(nodes.map((node) => startNode(records, node)))
    await applyManifests(client)
    await start('load-balancer', loadBalancer, { KUBECONFIG: join(paths.state, 'load-balancer.kubeconfig') })
    await waitForNodes(client, nodes, startedMs)
    say('the nodes are ready')
    await waitForDns(client)
  })
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
