// ztunnel: the secure overlay of one node. Wires the parts; decides nothing.
import { fromBinary, type JsonObject } from '@bufbuild/protobuf'
import { MeshError } from '@wishbone/core/errors'
import { MeshState } from '@wishbone/core/mesh'
import { workload as proto, security, typeUrls } from '@wishbone/proto'
import { logLevelRoute, startAdmin, startStatusServers } from '@wishbone/runtime/admin'
import { CaClient, CertificateManager } from '@wishbone/runtime/certificates'
import { delay, type ProgramContext, runProgram } from '@wishbone/runtime/lifecycle'
import { createLogger } from '@wishbone/runtime/log'
import { createMetrics } from '@wishbone/runtime/metrics'
import { AdsClient, type AdsNode, adsType } from '@wishbone/runtime/xds'
import { connectZds } from '@wishbone/runtime/zds'
import { DnsResolver } from './dns/resolver.ts'
import { Pods } from './proxy/pods.ts'
import { configDump } from './report/config-dump.ts'
import { Reporter } from './report/reporter.ts'
import { readZtunnelSettings, type ZtunnelSettings } from './settings.ts'
import { createPick } from './state/pick.ts'

/** Starts everything; the result's disposal is the drain. */
export async function startZtunnel(
  settings: ZtunnelSettings,
  { signal, log, stop }: ProgramContext,
): Promise<AsyncDisposable> {
  const { common, proxy } = settings
  const metrics = createMetrics()
  const { preferredNamespace } = settings
  const state = new MeshState(preferredNamespace === undefined ? {} : { preferredNamespace })
  const access = { clusterId: common.clusterId, tokenFile: common.authToken }
  const authority = new CaClient({
    ...access,
    address: common.caAddress,
    rootCaFile: common.caRootCa,
    ttlSeconds: common.secretTtlSeconds,
    impersonate: true,
  })
  const certificates = new CertificateManager({ authority, log })
  const random = Math.random
  const context = {
    state,
    pick: createPick(random),
    certificates,
    reporter: new Reporter({ log, metrics, now: () => performance.now() }),
    dns: new DnsResolver({ state, clusterDomain: common.clusterDomain, network: proxy.network, random, metrics }),
    log,
    settings: proxy,
    random,
  }

  const terminations = metrics.counter('istio_xds_connection_terminations_total', 'Ends of the configuration stream.', [
    'reason',
  ])
  const messages = metrics.counter('istio_xds_message_total', 'Responses on the configuration stream.', ['url'])
  const bytes = metrics.counter('istio_xds_message_bytes_total', 'Bytes on the configuration stream.', ['url'])
  const ads = new AdsClient({
    ...access,
    address: common.xdsAddress,
    rootCaFile: common.xdsRootCa,
    node: nodeOf(settings),
    types: meshTypes(state),
    log,
    events: {
      terminated: (reason) => terminations.labels({ reason }).inc(),
      received: (url, _, size) => {
        messages.labels({ url }).inc()
        bytes.labels({ url }).inc(size)
      },
    },
  })
  const pods = new Pods(context, metrics, () => ads.pending().length === 0)
  // It outlives the signal: while the connections that are left are carried, policies still change.
  const streaming = new AbortController()
  void ads.run(streaming.signal)
  const zds = connectZds({
    path: settings.zdsPath,
    log,
    onAdd: (workload) => pods.add(workload),
    onDel: (uid) => pods.delete(uid),
    onKeep: (uid) => pods.keep(uid),
    onSnapshot: (uids) => pods.snapshot(uids),
  })

  const pending = (): string[] => {
    const waiting = ads.pending().map((url) => `configuration (${url.slice(url.lastIndexOf('/') + 1)})`)
    if (!pods.synced) waiting.push("the node agent's pods")
    if (pods.waiting > 0) waiting.push(`${pods.waiting} pods that another ztunnel serves until this one can`)
    if (signal.aborted) waiting.push('nothing: it is stopping')
    return waiting
  }
  const status = await startStatusServers({ metrics, ready: pending, ports: settings.ports })
  const dump = () => ({
    json: configDump({
      state,
      certificates: certificates.dump(),
      pods: [...pods.proxies()].map(({ info, state: phase, connections }) => ({
        uid: info.uid,
        info,
        state: phase,
        connections,
      })),
      config: {
        ...proxy,
        xdsAddress: common.xdsAddress,
        caAddress: common.caAddress,
        clusterId: common.clusterId,
        zdsPath: settings.zdsPath,
      },
      trustDomain: proxy.trustDomain,
    }),
  })
  const admin = await startAdmin({
    port: settings.ports.admin,
    routes: {
      'GET /config_dump': dump,
      'POST /logging': logLevelRoute(log),
      'POST /quitquitquit': () => {
        stop('POST /quitquitquit')
        return 'shutdown now\n'
      },
    },
  })

  return {
    async [Symbol.asyncDispose]() {
      const deadline = performance.now() + settings.drainMs
      await pods.handOver(settings.drainMs * 0.9)
      // New pods go to the ztunnel that has taken over.
      await zds[Symbol.asyncDispose]()
      const late = new AbortController()
      await Promise.race([pods.drain(), delay(deadline - performance.now(), late.signal)])
      late.abort()
      await pods.close(new MeshError('draining', 'this ztunnel stops'))
      streaming.abort()
      certificates.close()
      authority.close()
      await admin[Symbol.asyncDispose]()
      await status[Symbol.asyncDispose]()
    },
  }
}

/** Authorization is asked for first: a workload should not be there before the policies that it names. */
function meshTypes(state: MeshState) {
  return [
    adsType({
      typeUrl: typeUrls.authorization,
      mode: 'wildcard',
      decode: (data) => fromBinary(security.AuthorizationSchema, data),
      apply: (resources, removed) =>
        state.applyAuthorizations({
          authorizations: resources.map(({ name, value }) => [name, value] as const),
          removed,
        }),
    }),
    adsType({
      typeUrl: typeUrls.address,
      mode: 'wildcard',
      decode: (data) => fromBinary(proto.AddressSchema, data),
      apply: (resources, removed) =>
        state.apply({ addresses: resources.map(({ name, value }) => [name, value] as const), removed }),
    }),
  ]
}

/** Ambient wire §2.1. */
function nodeOf({ common, metadata }: ZtunnelSettings): AdsNode {
  const { podName, podNamespace, instanceIp, nodeName, clusterId } = common
  const own: JsonObject = {
    NAME: podName,
    NAMESPACE: podNamespace,
    INSTANCE_IPS: instanceIp,
    NODE_NAME: nodeName,
    CLUSTER_ID: clusterId,
    ...metadata,
  }
  return {
    id: `ztunnel~${instanceIp || '1.1.1.1'}~${podName}.${podNamespace}~${podNamespace}.svc.${common.clusterDomain}`,
    metadata: own,
  }
}

if (import.meta.main) {
  const settings = readZtunnelSettings(process.env)
  const { logFormat: format, logLevel: level } = settings.common
  const log = createLogger({ program: 'ztunnel', format, level })
  // The program's own limit is a little longer than the drain's, which ends things in order.
  await runProgram((context) => startZtunnel(settings, context), { log, drainMs: settings.drainMs + 5_000 })
}
