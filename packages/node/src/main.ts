// The node agent: takes the pods of one node into the mesh and out of it. Wires the parts; decides nothing.
// Its own end changes nothing for the pods: rules stay, ztunnel keeps their namespaces.
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { startStatusServers } from '@wishbone/runtime/admin'
import { KubeClient, loadConnection } from '@wishbone/runtime/kube'
import { delay, type ProgramContext, runProgram } from '@wishbone/runtime/lifecycle'
import { createLogger } from '@wishbone/runtime/log'
import { createMetrics } from '@wishbone/runtime/metrics'
import { listenZds } from '@wishbone/runtime/zds'
import { Agent } from './agent.ts'
import { listenCni } from './cni/server.ts'
import { annotations } from './enrolment/decide.ts'
import { PodApi } from './pods/api.ts'
import { PodNamespaces } from './pods/namespaces.ts'
import { PodStore } from './pods/store.ts'
import type { WorkerTools } from './pods/tools.ts'
import { countTunnelled } from './pods/tunnelled.ts'
import { HostProbes } from './rules/host-probes.ts'
import * as rules from './rules/install.ts'
import { type NodeSettings, readNodeSettings } from './settings.ts'

export async function startNode(settings: NodeSettings, { signal, log }: ProgramContext): Promise<AsyncDisposable> {
  const { nodeName } = settings
  const client = new KubeClient(await loadConnection(), 'wishbone-node')
  const api = new PodApi(client, nodeName, log)
  const metrics = createMetrics()
  const namespaces = new PodNamespaces({ folder: settings.namespaceFolder, procFolder: settings.procFolder })
  mkdirSync(dirname(settings.zdsPath), { recursive: true })
  const zds = listenZds({ path: settings.zdsPath, log, onConnect: (peer) => whenSynced(() => agent.introduce(peer)) })
  const tools: WorkerTools = {
    log,
    namespaces,
    rules,
    probes: new HostProbes(settings.probeSource, settings.kubeletUid),
    withdrawMs: settings.withdrawMs,
    lookupsMs: 1_000,
    drainMs: settings.drainMs,
    ruleFacts: (capture) => ({ ...capture, ipv6: settings.ipv6, probeSource: settings.probeSource }),
    add: async (workload) => {
      // A ztunnel that is just starting, or connecting again after our own restart, is no failure of the pod.
      for (let waitedMs = 0; zds.peers().length === 0 && waitedMs < 5_000; waitedMs += 50) await delay(50, signal)
      await zds.add(workload)
    },
    del: (uid) => zds.del(uid),
    advertise: (pod, enrolled) => api.annotate(pod, enrolled ? 'enabled' : null),
    isAdvertised: ({ uid }) => store.pods.get(uid)?.metadata.annotations?.[annotations.redirection] !== undefined,
    countTunnelled,
    failed: (pod, error) => api.report(pod, error),
  }
  const agent = new Agent({
    settings: { excludedNamespaces: settings.excludedNamespaces, dns: settings.dns },
    tools,
    namespaces,
    log,
    fetch: (namespace, name) => api.get(namespace, name),
    enrolledNamespaces: (names) => writeNames(settings.cniPath, names),
  })
  const store = new PodStore({
    changed: (uid) => {
      if (store.synced) synced.resolve()
      agent.changed(uid)
    },
    removed: (pod) => {
      agent.removed(pod)
      api.forget(pod.metadata.uid ?? '')
    },
  })
  const synced = Promise.withResolvers<void>()
  const whenSynced = (then: () => Promise<void>): Promise<void> => synced.promise.then(then)
  agent.attach(store)
  void store.run(client, nodeName, { log, signal })

  metrics.gauge('wishbone_node_pods', 'Pods by their way into or out of the mesh.', ['state'], (gauge) => {
    gauge.reset()
    for (const worker of agent.workers()) gauge.labels({ state: worker.state }).inc()
  })
  const cni = await listenCni(settings.cniPath, (sandbox) => whenSynced(() => agent.addSandbox(sandbox)), log)
  const status = await startStatusServers({
    metrics,
    ready: () => (agent.synced ? [] : ['the lists of pods and namespaces']),
    ports: { metrics: settings.metricsPort, ready: settings.metricsPort },
  })

  return {
    async [Symbol.asyncDispose]() {
      await cni[Symbol.asyncDispose]()
      await zds[Symbol.asyncDispose]()
      await status[Symbol.asyncDispose]()
      client.close()
    },
  }
}

/** For the plugin, when the agent is away: one name a line, beside the socket. */
function writeNames(cniPath: string, names: readonly string[]): void {
  const path = join(dirname(cniPath), 'enrolled-namespaces')
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.new`, names.map((name) => `${name}\n`).join(''))
  renameSync(`${path}.new`, path)
}

if (import.meta.main) {
  const settings = readNodeSettings(process.env)
  const log = createLogger({ program: 'wishbone-node', format: settings.logFormat, level: settings.logLevel })
  await runProgram((context) => startNode(settings, context), { log, drainMs: 5_000 })
}
