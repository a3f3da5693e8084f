// The node agent: takes the pods of one node into the mesh and out of it. Wires the parts; decides nothing.
// Its own end changes nothing for the pods: rules stay, ztunnel keeps their namespaces. Only the mesh's end does.
import { existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { startStatusServers } from '@wishbone/runtime/admin'
import { KubeClient, loadConnection } from '@wishbone/runtime/kube'
import { delay, type ProgramContext, runProgram } from '@wishbone/runtime/lifecycle'
import { createLogger, type Logger } from '@wishbone/runtime/log'
import { createMetrics } from '@wishbone/runtime/metrics'
import { listenZds } from '@wishbone/runtime/zds'
import { Agent } from './agent.ts'
import { clean, cleanNamespaces, namedFolders } from './clean.ts'
import { pluginType } from './cni/conflist.ts'
import { CniPlugin, writeEnrolledNamespaces, writeNames } from './cni/plugin.ts'
import { listenCni } from './cni/server.ts'
import { annotations } from './enrolment/decide.ts'
import { containerIdsOf, ipsOf } from './kinds.ts'
import { Acknowledgements } from './pods/acknowledgements.ts'
import { PodApi } from './pods/api.ts'
import { PodNamespaces } from './pods/namespaces.ts'
import { PodStore } from './pods/store.ts'
import type { LeavingTimes, WorkerTools } from './pods/tools.ts'
import { countTunnelled } from './pods/tunnelled.ts'
import { HostProbes } from './rules/host-probes.ts'
import { hostTable } from './rules/host-rules.ts'
import { capture, chainNames, clear, isCaptured, release } from './rules/install.ts'
import { type NodeSettings, readNodeSettings } from './settings.ts'
import { UninstallSigns } from './uninstall.ts'

/** When the agent stops for good, ztunnel stops too: what is open gets this long. Together less than the pod's 30 s. */
const lastTimes: LeavingTimes = { withdrawMs: 0, lookupsMs: 0, drainMs: 12_000 }
const lastMs = 20_000
const probesAgainMs = 5_000

export async function startNode(settings: NodeSettings, { signal, log }: ProgramContext): Promise<AsyncDisposable> {
  const { nodeName, namespace, cniPath } = settings
  const client = new KubeClient(await loadConnection(), 'wishbone-node')
  const api = new PodApi(client, nodeName, log)
  const metrics = createMetrics()
  const namespaces = new PodNamespaces({
    folder: settings.namespaceFolder,
    procFolder: settings.procFolder,
    facts: (uid) => {
      const pod = store.pods.get(uid)
      return pod === undefined ? undefined : { ips: ipsOf(pod), containerIds: containerIdsOf(pod) }
    },
  })
  mkdirSync(dirname(settings.zdsPath), { recursive: true })
  const zds = listenZds({
    path: settings.zdsPath,
    log,
    onConnect: (peer) => whenSynced(() => agent.introduce(peer)),
    onFallback: (peer) => void whenSynced(() => agent.tell(peer)),
  })
  const acknowledgements = new Acknowledgements(client, namespace, settings.clusterId)
  let times: LeavingTimes = { withdrawMs: settings.withdrawMs, lookupsMs: 1_000, drainMs: settings.drainMs }
  const probes = new HostProbes(settings.probeSource, settings.kubeletUid)
  const tools: WorkerTools = {
    log,
    namespaces,
    rules: { capture, release, clear, isCaptured, chainNames },
    probes,
    times: () => times,
    ruleFacts: (own) => ({ ...own, ipv6: settings.ipv6, probeSource: settings.probeSource }),
    add: async (workload) => {
      // A ztunnel that is just starting, or connecting again after our own restart, is no failure of the pod. Istio's tries
      // again after 15 s; the container runtime, which may be waiting too, has more patience.
      for (let waitedMs = 0; zds.peers().length === 0 && waitedMs < 18_000 && !signal.aborted; waitedMs += 50)
        await delay(50, signal)
      await zds.add(workload)
    },
    del: (uid) => zds.del(uid),
    advertise: (pod, enrolled) => {
      const done = api.annotate(pod, enrolled ? 'enabled' : null)
      // At the mesh's end the API may not know us any more; the rules are to go all the same.
      return times === lastTimes ? done.catch(() => undefined) : done
    },
    isAdvertised: ({ uid }) => store.pods.get(uid)?.metadata.annotations?.[annotations.redirection] !== undefined,
    isAcknowledged: (pod, version) => acknowledgements.of(pod, version),
    countTunnelled,
    failed: (pod, error) => api.report(pod, error),
  }
  const plugin = existsSync(settings.cniPlugin)
    ? new CniPlugin(
        { source: settings.cniPlugin, binFolder: settings.cniBinFolder, confFolder: settings.cniConfFolder },
        { type: pluginType, socket: cniPath, excludeNamespaces: settings.excludedNamespaces },
        log,
      )
    : undefined
  const agent = new Agent({
    settings: { excludedNamespaces: settings.excludedNamespaces, dns: settings.dns },
    tools,
    namespaces,
    log,
    fetch: (owner, name) => api.get(owner, name),
    enrolledNamespaces: (names) => {
      if (plugin !== undefined) writeEnrolledNamespaces(settings.cniBinFolder, names)
      else writeNames(join(dirname(cniPath), 'enrolled-namespaces'), names)
    },
    say: (pod, what) => api.say(pod, what),
  })
  let leaving = false
  const takeOut = (active: boolean, reason: string): void => {
    if (active === leaving) return
    leaving = active
    log.info(active ? 'every pod is taken out of the mesh' : 'pods are in the mesh by their labels again', { reason })
    agent.uninstall(active)
    plugin?.want(!active)
  }
  const isEnding = (): boolean => store.namespaces.get(namespace)?.metadata.deletionTimestamp !== undefined
  const store = new PodStore({
    changed: (uid) => {
      if (store.synced) synced.resolve()
      if (uid === undefined && isEnding()) takeOut(true, `the namespace ${namespace} is being deleted`)
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
  // It outlives the signal: at the mesh's end the pods must be known, even if the agent has only just begun.
  const following = new AbortController()
  void store.run(client, nodeName, { log, signal: following.signal })
  const signs = new UninstallSigns({
    client,
    namespace,
    log,
    onMarker: (present) => takeOut(present, 'the marker of the uninstallation has come or gone'),
  })
  void signs.run(signal)
  void keepProbes(probes, log, signal)

  metrics.gauge('wishbone_node_pods', 'Pods by their way into or out of the mesh.', ['state'], (gauge) => {
    gauge.reset()
    for (const worker of agent.workers()) gauge.labels({ state: worker.state }).inc()
  })
  const cni = await listenCni(cniPath, (sandbox) => whenSynced(() => agent.addSandbox(sandbox)), log)
  // The plugin comes last: it asks at the socket.
  void plugin?.run(signal)
  const status = await startStatusServers({
    metrics,
    ready: () => [
      ...(agent.synced ? [] : ['the lists of pods and namespaces']),
      ...(plugin?.problem === undefined ? [] : [plugin.problem]),
    ],
    ports: { metrics: settings.metricsPort, ready: settings.metricsPort },
  })

  return {
    async [Symbol.asyncDispose]() {
      const sign = isEnding() ? `the namespace ${namespace} is being deleted` : await signs.sign()
      if (sign !== undefined) {
        times = lastTimes
        await Promise.race([synced.promise, delay(3_000)])
        takeOut(true, sign)
        const left = await agent.empty(lastMs)
        // The API has told nothing; what is in the mesh is to be seen in the kernel.
        if (!agent.synced) cleanAll(settings.procFolder, log)
        if (left.length > 0) log.warn('the rules of pods are taken away although connections were open', { pods: left })
        HostProbes.clear()
      }
      following.abort()
      await cni[Symbol.asyncDispose]()
      await zds[Symbol.asyncDispose]()
      await status[Symbol.asyncDispose]()
      client.close()
    },
  }
}

/** Nobody tells us when the table is flushed; probes may fail a few times before a pod is restarted. */
async function keepProbes(probes: HostProbes, log: Logger, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await delay(probesAgainMs, signal)
    try {
      if (!signal.aborted && (await probes.restore()))
        log.warn('the table that tells probes from other connections was taken away; it is back', { table: hostTable })
    } catch (cause) {
      log.error('the table that tells probes from other connections cannot be restored; probes may be refused', {
        table: hostTable,
        error: String(cause),
      })
    }
  }
}

/** What cannot be cleaned is told; the rest of the end goes on. */
function cleanAll(procFolder: string, log: Logger): void {
  try {
    cleanNamespaces(procFolder, namedFolders(procFolder), () => undefined)
  } catch (cause) {
    log.error('a node is not clean; clean it as docs/uninstall.md says', { error: String(cause) })
  }
}

if (import.meta.main) {
  const log = createLogger({ program: 'wishbone-node', format: 'text', level: 'info' })
  if (process.argv.includes('--clean')) {
    try {
      clean(process.env, log)
    } catch (cause) {
      log.error('the node is not clean', { error: String(cause) })
      process.exitCode = 1
    }
    log.flush()
  } else {
    const settings = readNodeSettings(process.env)
    const { logFormat: format, logLevel: level } = settings
    const own = createLogger({ program: 'wishbone-node', format, level })
    await runProgram((context) => startNode(settings, context), { log: own, drainMs: 25_000 })
  }
}
