// A folder's Gateways and routes, served by processes of one unprivileged user: the machine's API server, controllers and
// folder loader without its networks, nodes and kubelets, and the controller and one waypoint program per Gateway as children.
// Objects and keys live in memory; the state folder, which only its owner can read, has logs, tokens, roots and the kubeconfig.
import { chmodSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { readPath, withoutDuplicates } from '@wishbone/runtime/manifests'
import { startApiServer } from '../api/http/server.ts'
import { createApiClient, resources } from '../client/api.ts'
import { startMirror } from '../client/mirror.ts'
import { type Context, startMirrors } from '../controllers/index.ts'
import { startNamespaces } from '../controllers/services.ts'
import { openLog } from '../kubelet/logs.ts'
import { Applier } from '../loader/apply.ts'
import { FolderLoader, mistakeText } from '../loader/folder.ts'
import { startRelay } from '../relay.ts'
import { claimState, recordOwner, releaseState } from '../state-folder.ts'
import { podAccess } from './access.ts'
import { giveAddresses } from './addresses.ts'
import { isNeeded, startControlPlane } from './control-plane.ts'
import { followGateways, untilSettled } from './follow.ts'
import type { Gateway, ListenerSet } from './gateways.ts'
import type { PodProcess } from './pod-process.ts'
import { type Proxies, startProxies } from './proxies.ts'
import { remarkOn } from './remarks.ts'

export interface StandaloneOptions {
  readonly stateDir: string
  readonly folder: string
  readonly systemManifests: readonly string[]
  /** The address to listen on: "0.0.0.0" or "::" for all. */
  readonly listen: string
  /** Added to listeners' ports below 1024. */
  readonly portOffset: number
  readonly onEvent: (event: StandaloneEvent) => void
}

export type StandaloneEvent =
  /** A step of the start; something to mend; something done. */
  | { readonly event: 'progress' | 'warning' | 'note'; readonly text: string }
  /** Where Gateways can be reached now, a line for each listener. */
  | { readonly event: 'links'; readonly links: readonly string[] }

export interface Standalone {
  readonly kubeconfig: string
  /** Resolves when each Gateway of the folder serves or has said why it does not. */
  readonly ready: Promise<void>
  /** Lets what is open finish, then ends everything. */
  stop(): Promise<void>
  /** Ends every process at once. */
  kill(): void
}

/** All but the logs. */
const leftovers = ['kubeconfig', 'pods', 'run']

const apiVersion = 'gateway.networking.k8s.io/v1'
const gatewayKind = { apiVersion, kind: 'Gateway', plural: 'gateways', namespaced: true }
const listenerSetKind = { apiVersion, kind: 'ListenerSet', plural: 'listenersets', namespaced: true }

/** Throws when the state folder is in use, or the API server can't be started. */
export async function startStandalone(options: StandaloneOptions): Promise<Standalone> {
  const stateDir = resolve(options.stateDir)
  process.umask(0o077)
  claimState(stateDir)
  chmodSync(stateDir, 0o700)
  recordOwner(stateDir)
  const abort = new AbortController()
  const { signal } = abort
  const warn = (text: string): void => options.onEvent({ event: 'warning', text })
  const progress = (text: string): void => options.onEvent({ event: 'progress', text })
  let proxies: Proxies | undefined
  let controlPlane: PodProcess | undefined
  const find = (namespace: string, pod: string): PodProcess | undefined =>
    namespace === controlPlane?.pod.metadata.namespace && pod === controlPlane.pod.metadata.name
      ? controlPlane
      : proxies?.find(namespace, pod)

  progress('starting the API server')
  const file = openLog(join(stateDir, 'machine.log'))
  const log = (text: string): void => file.write(Buffer.from(`${text}\n`))
  const tlsSocket = join(stateDir, 'run', 'api.sock')
  const adminSocket = join(stateDir, 'run', 'admin.sock')
  const relay = await startRelay(0, tlsSocket)
  const api = await startApiServer({
    stateDir,
    apiPort: relay.port,
    adminSocket,
    tlsSocket,
    addresses: [],
    names: [],
    access: podAccess(find),
    log,
  })
  const client = createApiClient(adminSocket)
  for (const name of ['default', 'kube-system'])
    await client
      .create(resources.namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
      .catch(() => {})
  const mirrors = await startMirrors(client, signal)
  const context: Context = { client, mirrors, signal, log }
  startNamespaces(context, api.caPem)
  giveAddresses(context, options.listen)

  const begin = async (): Promise<void> => {
    progress('starting the controller')
    const read = withoutDuplicates(options.systemManifests.flatMap((path) => readPath(path)))
    const needed = read.objects.filter(({ object }) => isNeeded(object))
    for (const mistake of await new Applier(client).apply(needed, 'wishbone-install'))
      warn(mistakeText(mistake, process.cwd()))
    if (signal.aborted) return
    controlPlane = await startControlPlane(context, { stateDir, apiPort: relay.port, caPem: api.caPem, warn })
    proxies = startProxies(context, { stateDir, listen: options.listen, portOffset: options.portOffset, warn })
    progress('applying the folder')
    const loader = new FolderLoader({
      client,
      folders: [options.folder],
      warn,
      note: (text, first) => void (first || options.onEvent({ event: 'note', text })),
      onImages: () => {},
      remarkOn,
    })
    await loader.load()
    const gateways = startMirror<Gateway>(client, gatewayKind, signal)
    const listenerSets = startMirror<ListenerSet>(client, listenerSetKind, signal)
    await Promise.all([gateways.synced, listenerSets.synced])
    const processOf = (gateway: string): PodProcess | undefined => proxies?.byGateway.get(gateway)
    await untilSettled({ gateways, processOf, controlPlane, progress, signal })
    if (signal.aborted) return
    // Its complaints come from statuses: not before the controller has written them, and before anybody is told that all is ready.
    await loader.complain()
    loader.watch(signal)
    followGateways({
      gateways,
      listenerSets,
      processOf,
      portOffset: options.portOffset,
      warn,
      tellLinks: (links) => options.onEvent({ event: 'links', links }),
      signal,
    })
  }
  const ready = begin()
  ready.catch(() => {})

  return {
    kubeconfig: join(stateDir, 'kubeconfig'),
    ready,
    async stop() {
      abort.abort()
      await ready.catch(() => {})
      await proxies?.stopAll()
      await controlPlane?.stop(10_000)
      await relay[Symbol.asyncDispose]()
      await api.close()
      releaseState(stateDir, leftovers)
    },
    kill() {
      proxies?.killAll()
      controlPlane?.kill()
      releaseState(stateDir, leftovers)
    },
  }
}
