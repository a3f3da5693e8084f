// The program: configuration from the controller (or, with --config, from a file), an identity of its own, and the end.
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { MeshError } from '@wishbone/core/errors'
import { formatSpiffe } from '@wishbone/core/identity'
import { MeshState } from '@wishbone/core/mesh'
import { logLevelRoute, startAdmin, startStatusServers } from '@wishbone/runtime/admin'
import { CaClient, CertificateManager } from '@wishbone/runtime/certificates'
import { type ProgramContext, runProgram, type TurnCost } from '@wishbone/runtime/lifecycle'
import { createLogger, createSink } from '@wishbone/runtime/log'
import { createMetrics } from '@wishbone/runtime/metrics'
import { AdsClient, type AdsType } from '@wishbone/runtime/xds'
import { configDump } from './program/dump.ts'
import { limitYoungGeneration } from './program/memory.ts'
import { pluginsFrom } from './program/plugins.ts'
import { readWaypointSettings, type Settings } from './program/settings.ts'
import { applyStaticConfig, parseStaticConfig } from './program/static-config.ts'
import { subscriptions } from './program/subscriptions.ts'
import { createTurnMetrics } from './report/turns.ts'
import { defaultLimits, type Limits } from './server/limits.ts'
import { ResourceStore } from './state/store.ts'
import { Waypoint } from './waypoint.ts'

/** Kept for the end of streams and logs, out of what the pod is given to stop. */
const drainReserveMs = 1_000

limitYoungGeneration()
const { values: args } = parseArgs({ options: { config: { type: 'string' } }, strict: false, allowPositionals: true })
const settings = readWaypointSettings(process.env)
const log = createLogger({ program: 'waypoint', format: settings.logFormat, level: settings.logLevel })
await runProgram((context) => main(context, settings, args.config as string | undefined), {
  log,
  drainMs: settings.connectionTerminationDeadlineMs,
})

async function main(
  { signal, log }: ProgramContext,
  settings: Settings,
  configFile: string | undefined,
): Promise<AsyncDisposable> {
  const metrics = createMetrics()
  const state = new MeshState({ preferredNamespace: settings.podNamespace })
  const onTurn = createTurnMetrics(metrics)
  const store = new ResourceStore({ onTurn })
  const self = () => state.workloadsByName(settings.podNamespace, settings.podName)[0]
  const identity = formatSpiffe({
    trustDomain: settings.trustDomain,
    namespace: settings.podNamespace,
    serviceAccount: settings.serviceAccount || 'default',
  })
  const ads = configFile === undefined ? adsClient(settings, subscriptions(store, state), onTurn, log) : undefined
  const certificates = configFile === undefined ? certificateManager(settings, log) : undefined
  let waypoint: Waypoint | undefined
  const pending = () => [
    ...(ads?.pending() ?? []),
    ...(certificates !== undefined && certificates.current(identity) === undefined
      ? [`certificate of ${identity}`]
      : []),
    ...(waypoint?.pending() ?? ['listeners']),
  ]
  const { internalHost } = settings
  const status = await startStatusServers({
    ...(internalHost === undefined ? {} : { host: internalHost }),
    metrics,
    ready: pending,
    ports: { metrics: settings.metricsPort, ready: settings.readinessPort },
  })
  const admin = await startAdmin({
    port: settings.adminPort,
    routes: {
      'GET /config_dump': () => ({ json: configDump(store, state, waypoint, certificates) }),
      'POST /logging': logLevelRoute(log),
    },
  })
  if (configFile !== undefined) applyStaticConfig(parseStaticConfig(await readFile(configFile, 'utf8')), store, state)
  // It outlives the signal: while open requests and connections are carried, policies and addresses still change.
  const streaming = new AbortController()
  void ads?.run(streaming.signal)
  certificates?.prefetch(identity)
  // Listeners open only with policies, routes and addresses at hand: nobody sees a half-configured proxy.
  await Promise.race([ads?.whenReady, aborted(signal)])
  if (signal.aborted) {
    streaming.abort()
    throw signal.reason
  }
  const { tracing, stopTracing } = await loadTracing(settings, log)
  waypoint = await Waypoint.start({
    state,
    store,
    log,
    metrics,
    accessLog: settings.accessLog ? createSink(1) : undefined,
    host: settings.listenHost,
    portOffset: settings.portOffset,
    limits: { ...defaultLimits, ...limitsOf(settings) },
    front: { trustedHops: settings.trustedHops, proxyProtocol: portsOf(settings.proxyProtocol) },
    mesh:
      certificates === undefined
        ? undefined
        : {
            certificate: () => certificates.get(identity),
            trustDomain: settings.trustDomain,
            port: settings.hbonePort,
            ...(internalHost === undefined ? {} : { host: internalHost }),
            network: settings.network,
            self,
          },
    ...(tracing === undefined ? {} : { trace: tracing }),
    ...(settings.pluginsFolder === undefined ? {} : { plugins: pluginsFrom(settings.pluginsFolder, log) }),
  })
  log.info('the waypoint is up', { identity, hbonePort: waypoint.meshPort })
  return {
    async [Symbol.asyncDispose]() {
      await waypoint.drain(Math.max(0, settings.connectionTerminationDeadlineMs - drainReserveMs), settings.lingerMs)
      streaming.abort()
      await stopTracing().catch((cause: unknown) =>
        log.warn('the last spans could not be sent', { error: MeshError.from(cause).describe() }),
      )
      certificates?.close()
      await status[Symbol.asyncDispose]()
      await admin[Symbol.asyncDispose]()
    },
  }
}

function limitsOf(settings: Settings): Partial<Limits> {
  const { maxConnections, maxHeaderBytes, maxConcurrentStreams, headersTimeoutMs, stallTimeoutMs, idleTimeoutMs } =
    settings
  return { maxConnections, maxHeaderBytes, maxConcurrentStreams, headersTimeoutMs, stallTimeoutMs, idleTimeoutMs }
}

/** "all", or ports separated by commas. */
function portsOf(text: string): (port: number) => boolean {
  const names = new Set(text.split(',').map((name) => name.trim()))
  return (port) => names.has('all') || names.has(String(port))
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

async function loadTracing({ otlpEndpoint, podName, podNamespace, gatewayName }: Settings, log: ProgramContext['log']) {
  if (otlpEndpoint === undefined) return { tracing: undefined, stopTracing: async () => {} }
  // The SDK costs start-up time and memory: only those who ask for traces load it.
  const { startTracing } = await import('./report/tracing.ts')
  const started = startTracing({ podName, podNamespace, gatewayName }, log)
  return { tracing: started.trace, stopTracing: started.stop }
}

function adsClient(
  settings: Settings,
  types: readonly AdsType[],
  onTurn: (cost: TurnCost) => void,
  log: ProgramContext['log'],
): AdsClient {
  const { podName, podNamespace, instanceIp, nodeName, clusterDomain, serviceAccount } = settings
  return new AdsClient({
    address: settings.xdsAddress,
    rootCaFile: settings.xdsRootCa,
    tokenFile: settings.authToken,
    clusterId: settings.clusterId,
    node: {
      id: `waypoint~${instanceIp || '1.1.1.1'}~${podName}.${podNamespace}~${podNamespace}.svc.${clusterDomain}`,
      metadata: {
        NAME: podName,
        NAMESPACE: podNamespace,
        INSTANCE_IPS: instanceIp,
        NODE_NAME: nodeName,
        SERVICE_ACCOUNT: serviceAccount,
      },
    },
    types,
    log: log.child({ scope: 'xds' }),
    events: { turn: onTurn },
  })
}

function certificateManager(settings: Settings, log: ProgramContext['log']): CertificateManager {
  const authority = new CaClient({
    address: settings.caAddress,
    rootCaFile: settings.caRootCa,
    tokenFile: settings.authToken,
    clusterId: settings.clusterId,
    ttlSeconds: settings.secretTtlSeconds,
    impersonate: false,
  })
  return new CertificateManager({ authority, log: log.child({ scope: 'ca' }) })
}
