// The controller put together: store → pipeline → configuration stream and certificate service, and what the leader
// writes. Each part goes on with what it has while another one is in trouble.
import { type Connection, isStatus, KubeClient, resourcePath } from '@wishbone/runtime/kube'
import { backoff, delay } from '@wishbone/runtime/lifecycle'
import {
  type Authority,
  type CertificateServiceOptions,
  createCertificateHandler,
  followAuthority,
  keepServerCertificate,
  loadAuthority,
  refuseCertificate,
  type ServerCertificate,
  serverNames,
} from './ca/index.ts'
import { createPodLookup, TokenReviewer } from './callers/index.ts'
import { startDebugServer } from './debug.ts'
import { Deployer } from './deploy/index.ts'
import { EventWriter } from './events/index.ts'
import type { Pod } from './kinds/index.ts'
import { runElection, Store, watchedKinds } from './kube/index.ts'
import { Leader } from './leader.ts'
import { type Log, messageOf } from './log.ts'
import { createControllerMetrics } from './metrics.ts'
import type { Settings } from './model/index.ts'
import { Pipeline } from './pipeline.ts'
import type { ControllerSettings } from './settings.ts'
import { StatusWriter } from './status/index.ts'
import { Clients, RenewableCredentials, startGrpcServer } from './xds/index.ts'

export interface Controller extends AsyncDisposable {
  readonly metrics: ReturnType<typeof createControllerMetrics>['metrics']
  /** What readiness waits for; empty when ready. */
  pending(): readonly string[]
  readonly debugPort: number
  /** Port of the gRPC server, once the authority is there; rejects if it cannot listen. */
  readonly xdsPort: Promise<number>
}

/** Starts everything and returns at once; what has to wait for the API waits in the background. */
export async function startController(
  connection: Connection,
  settings: ControllerSettings,
  log: Log,
): Promise<Controller> {
  const stack = new AsyncDisposableStack()
  const abort = new AbortController()
  const { signal } = abort
  const client = new KubeClient(connection, 'wishbone-controller')
  stack.defer(() => client.close())
  let clients: Clients | undefined
  const metrics = createControllerMetrics(
    () => clients,
    () => store,
  )
  let authority: Authority | undefined

  const store = new Store({ log, observer: metrics.store, onChange: () => pipeline.poke() })
  const reviewer = new TokenReviewer(client)
  const pods = createPodLookup(store, client)
  const { nodeProxyAccounts } = settings
  const sources = {
    pods,
    nodeProxyAccounts,
    serviceAccount: (namespace: string, name: string) => store.get('serviceAccounts', namespace, name),
  }
  clients = new Clients({ reviewer, sources, log, observer: metrics.clients })
  const deployer = new Deployer({ client, store, log, onBlocked: () => pipeline.poke() })
  const statuses = new StatusWriter({ client, store, log })
  const events = new EventWriter({ client, instance: settings.podName || `controller-${process.pid}` })
  const leader = stack.use(new Leader({ deployer, statuses, events, onWritten: metrics.written }))
  const translation = (): Settings =>
    authority === undefined
      ? settings.translation
      : { ...settings.translation, rootCertificatesPem: authority.rootsPem }
  const pipeline = stack.use(
    new Pipeline({
      store,
      settings: translation,
      blocked: () => deployer.blocked,
      publish: (resources) => clients.publish(resources),
      onTranslation: (result) => leader.submit(result),
      onOutcome: metrics.translated,
      log,
    }),
  )
  stack.use(store)
  store.start(client)
  void store.synced.then(() => {
    log.info('the cluster is read', { milliseconds: Math.round(process.uptime() * 1000) })
    pipeline.poke()
  })

  const lead = (leading: boolean): void => {
    metrics.leading(leading)
    leader.setLeading(leading)
  }
  const election = settings.leaderElection
    ? runElection(client, {
        namespace: settings.podNamespace,
        name: 'wishbone-controller',
        identity: settings.podName || `controller-${process.pid}`,
        log,
        signal,
        // A replica whose pod is gone does not come back: no need to wait until its lease has run out.
        isGone: (name) => isGone(client, store, settings, name, signal),
        onChange: lead,
      })
    : Promise.resolve(lead(true))

  let listening = false
  let following: Promise<void> | undefined
  const serve = async (): Promise<number> => {
    const first = await authorityWithPatience(client, settings, log, signal)
    authority = first
    log.info('the certificate authority is ready', { secret: first.source, trustDomain: settings.trustDomain })
    pipeline.poke()
    const own = (): Authority => authority ?? first
    let credentials: RenewableCredentials | undefined
    const onRenew = (certificate: ServerCertificate): void => {
      if (credentials === undefined) credentials = new RenewableCredentials(certificate)
      else credentials.renew(certificate)
    }
    const names = serverNames(settings.podNamespace, settings.clusterDomain)
    const kept = stack.use(keepServerCertificate(own, names, { log, ttlSeconds: settings.serverTtlSeconds, onRenew }))
    if (credentials === undefined) throw new Error('the authority cannot issue the controller’s own certificate')
    const issuing: CertificateServiceOptions = {
      authority: own,
      reviewer,
      pods,
      nodeProxyAccounts,
      trustDomain: settings.trustDomain,
      defaultTtlSeconds: settings.defaultTtlSeconds,
      maxTtlSeconds: settings.maxTtlSeconds,
      log,
      onOutcome: metrics.certificate,
    }
    const serveStream = (call: Parameters<Clients['serve']>[0]): void => clients.serve(call)
    const server = stack.use(
      await startGrpcServer({
        credentials,
        host: settings.listenAddress,
        port: settings.xdsPort,
        review: (authorization) => reviewer.review(authorization),
        serveStream,
        refuseStream: (review, peer) => clients.refuse(review, peer),
        createCertificate: createCertificateHandler(issuing),
        refuseCertificate: (review, peer) => refuseCertificate(issuing, review, peer),
        log,
      }),
    )
    const onChange = (next: Authority): void => {
      authority = next
      kept.renew()
      pipeline.poke()
    }
    following = followAuthority({ client, namespace: settings.podNamespace, log, signal, current: own, onChange })
    listening = true
    log.info('serving configuration and certificates', { port: server.port })
    return server.port
  }
  const xdsPort = serve()
  xdsPort.catch(() => {})
  stack.defer(async () => {
    abort.abort()
    await Promise.all([election, following])
  })

  const pending = (): readonly string[] => [
    ...store.pending(),
    ...(authority === undefined ? ['the certificate authority'] : listening ? [] : ['the gRPC server']),
    ...(clients.hasConfiguration ? [] : ['the first translation']),
  ]
  const listen = settings.listenAddress === '' ? {} : { host: settings.listenAddress }
  const debug = stack.use(
    await startDebugServer({ ...listen, port: settings.debugPort, pending, clients, pipeline, leader }),
  )
  return {
    metrics: metrics.metrics,
    pending,
    debugPort: debug.port,
    xdsPort,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** The API decides: a store that lags may not know yet the pod of a replica that has just begun. */
async function isGone(
  client: KubeClient,
  store: Store,
  { podName, podNamespace }: ControllerSettings,
  name: string,
  signal: AbortSignal,
): Promise<boolean> {
  const ended = (pod: Pod | undefined): boolean =>
    pod === undefined || pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded'
  const known = (pod: string) => store.get('pods', podNamespace, pod) as unknown as Pod | undefined
  // Where this replica is no pod, the others are none either.
  if (podName === '' || store.pending().length > 0 || known(podName) === undefined || !ended(known(name))) return false
  const path = resourcePath(watchedKinds.pods, podNamespace, name)
  return ended(
    await client.get<Pod>(path, signal).catch((cause: unknown) => {
      if (isStatus(cause, 404)) return undefined
      throw cause
    }),
  )
}

/** Tries until the API answers and the Secret is good; an operator can repair a bad one meanwhile. */
async function authorityWithPatience(
  client: KubeClient,
  settings: ControllerSettings,
  log: Log,
  signal: AbortSignal,
): Promise<Authority> {
  const waits = backoff({ firstMs: 200, maxMs: 10_000 })
  let last = ''
  for (;;) {
    try {
      return await loadAuthority({
        client,
        namespace: settings.podNamespace,
        trustDomain: settings.trustDomain,
        log,
        signal,
      })
    } catch (cause) {
      signal.throwIfAborted()
      const reason = messageOf(cause)
      if (reason !== last) log.error('there is no certificate authority yet; trying again', { reason })
      last = reason
      await delay(waits.next(), signal)
    }
  }
}
