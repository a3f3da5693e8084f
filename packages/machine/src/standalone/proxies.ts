// Gateways' Deployments as processes: one pod each, whatever it asks for; a new template takes over from the old one's process,
// which finishes what it has open.

import { join } from 'node:path'
import { keyOf, splitKey } from '../api/objects/object.ts'
import { resources } from '../client/api.ts'
import { type Context, createQueue } from '../controllers/context.ts'
import { podFrom, sameFields, templateHash } from '../controllers/pods.ts'
import { environmentOf, type Lookup } from '../kubelet/environment.ts'
import { createTokens } from '../kubelet/tokens.ts'
import { mountsOf, type VolumeContext, writeVolumes } from '../kubelet/volumes.ts'
import type { Pod, Workload } from '../types.ts'
import { loopback, PodProcess, type Preparation } from './pod-process.ts'
import { freePorts } from './ports.ts'

export interface ProxyOptions {
  readonly stateDir: string
  /** Where listeners are opened unless their Gateway names an address. */
  readonly listen: string
  readonly portOffset: number
  readonly warn: (text: string) => void
}

export interface Proxies {
  /** Of the pod, or undefined. */
  find(namespace: string, pod: string): PodProcess | undefined
  /** By `<namespace>/<gateway>`, those that are to run. */
  readonly byGateway: ReadonlyMap<string, PodProcess>
  /** Ends all of them; new ones are not started any more. */
  stopAll(): Promise<void>
  killAll(): void
}

const managed = 'gateway.istio.io/managed'
const refreshMs = 60_000

/** The Gateway that a Deployment was made for; undefined for anybody else's, and for waypoints, which have no mesh here. Pure. */
export function gatewayOf({ metadata }: Workload): string | undefined {
  if (metadata.labels?.[managed] !== 'wishbone.dev-gateway-controller') return undefined
  const owner = metadata.ownerReferences?.find(({ kind }) => kind === 'Gateway')
  return owner && `${metadata.namespace}/${owner.name}`
}

export function startProxies(context: Context, options: ProxyOptions): Proxies {
  const { client, mirrors } = context
  const current = new Map<string, { readonly process: PodProcess; readonly hash: string; readonly gateway: string }>()
  const all = new Map<string, PodProcess>()
  let ending = false
  const graceMs = ({ spec }: Pod): number => (spec.terminationGracePeriodSeconds ?? 30) * 1_000

  const volumes = volumeContexts(context, options)
  const start = async (deployment: Workload, key: string, listen: string): Promise<PodProcess> => {
    const made = podFrom(deployment)
    const spec = { ...made.spec, nodeName: 'localhost', hostNetwork: true }
    const pod = await client.create<Pod>(resources.pods, { ...made, spec } as Pod)
    const process = new PodProcess({
      context,
      pod: { ...pod, apiVersion: 'v1', kind: 'Pod' },
      program: 'waypoint',
      logFolder: join(options.stateDir, 'logs', `${pod.metadata.namespace}_${pod.metadata.name}`),
      prepare: () => prepare(pod, context, options, volumes(pod), listen),
      warn: options.warn,
      onEnd: () => {
        all.delete(keyOf(pod))
        enqueue(key)
      },
    })
    all.set(keyOf(pod), process)
    process.start()
    return process
  }

  const enqueue = createQueue(context, 'Gateway', async (key) => {
    const deployment = mirrors.deployments.get(...splitKey(key))
    const gateway = deployment && gatewayOf(deployment)
    // Made a moment later than the Deployment; it says where to listen.
    const service = mirrors.services.get(...splitKey(key))
    const listen = service?.spec.loadBalancerIP ?? options.listen
    const wanted =
      !ending && service && deployment && !deployment.metadata.deletionTimestamp && deployment.spec.replicas !== 0
        ? gateway
        : undefined
    const hash = deployment ? `${templateHash(deployment.spec.template)} ${listen}` : ''
    const running = current.get(key)
    if (running && (wanted === undefined || running.hash !== hash || running.process.isStopping)) {
      current.delete(key)
      void running.process.stop(graceMs(running.process.pod))
    }
    if (wanted !== undefined && deployment && !current.has(key))
      current.set(key, { process: await start(deployment, key, listen), hash, gateway: wanted })
    if (gateway !== undefined && deployment) await writeStatus(context, deployment, current.get(key)?.process)
  })
  for (const mirror of [mirrors.deployments, mirrors.services])
    mirror.onChange((now, before) => enqueue(keyOf((now ?? before)!)))
  mirrors.pods.onChange((now, before) => {
    const process = all.get(keyOf((now ?? before)!))
    // Somebody deletes it: its successor starts at once.
    if (process && (!now || now.metadata.deletionTimestamp)) void process.stop(graceMs(process.pod))
    const owner = (now ?? before)?.metadata.ownerReferences?.find(({ kind }) => kind === 'Deployment')
    if (owner) enqueue(`${(now ?? before)?.metadata.namespace}/${owner.name}`)
  })
  for (const deployment of mirrors.deployments.all()) enqueue(keyOf(deployment))
  // Tokens are renewed before they end.
  const timer = setInterval(() => {
    for (const { pod } of all.values()) void writeVolumes(pod, volumes(pod)).catch(() => {})
  }, refreshMs)
  context.signal.addEventListener('abort', () => clearInterval(timer), { once: true })

  return {
    find: (namespace, pod) => all.get(`${namespace}/${pod}`),
    get byGateway() {
      return new Map([...current.values()].map(({ gateway, process }) => [gateway, process]))
    },
    async stopAll() {
      ending = true
      await Promise.all([...all.values()].map((process) => process.stop(graceMs(process.pod))))
    },
    killAll() {
      for (const process of all.values()) process.kill()
    },
  }
}

function volumeContexts({ client, mirrors }: Context, { stateDir }: ProxyOptions): (pod: Pod) => VolumeContext {
  const tokens = createTokens(client)
  const lookup: Lookup = {
    secret: (namespace, name) => mirrors.secrets.get(namespace, name),
    configMap: (namespace, name) => mirrors.configMaps.get(namespace, name),
  }
  const node = { ip: loopback, folder: join(stateDir, 'run') }
  return ({ metadata }) => ({ lookup, tokens, node, folder: join(stateDir, 'pods', metadata.uid ?? metadata.name) })
}

/** Everything but the listeners is on the loopback, at ports that are free now. */
async function prepare(
  pod: Pod,
  context: Context,
  { portOffset }: ProxyOptions,
  volumes: VolumeContext,
  listen: string,
): Promise<Preparation> {
  const [container] = pod.spec.containers
  if (!container) throw new Error('the pod has no container')
  const folders = await writeVolumes(pod, volumes)
  const mounted = new Map(mountsOf(pod, container, folders).mounts.map(({ target, source }) => [target, source]))
  const fileAt = (folder: string, name: string): string => join(mounted.get(folder) ?? folder, name)
  const rootFile = fileAt('/run/secrets/wishbone', 'root-cert.pem')
  const withIp = { ...pod, status: { ...pod.status, podIP: loopback, podIPs: [{ ip: loopback }] } }
  const [admin, metrics, readiness, hbone] = await freePorts(4)
  const environment = {
    ...process.env,
    ...environmentOf(withIp, container, volumes.lookup, volumes.node),
    KUBECONFIG: undefined,
    AUTH_TOKEN: fileAt('/run/secrets/tokens', 'istio-token'),
    XDS_ROOT_CA: rootFile,
    CA_ROOT_CA: rootFile,
    LISTEN_HOST: listen,
    INTERNAL_HOST: loopback,
    PORT_OFFSET: String(portOffset),
    ADMIN_PORT: String(admin),
    METRICS_PORT: String(metrics),
    READINESS_PORT: String(readiness),
    HBONE_PORT: String(hbone),
    // Nobody hears of its end later than it ends.
    LINGER: '0s',
  }
  context.log(`pod ${keyOf(pod)}: admin ${admin}, metrics ${metrics}, readiness ${readiness}, tunnels ${hbone}`)
  return { environment, readinessUrl: `http://${loopback}:${readiness}/healthz/ready` }
}

async function writeStatus({ client }: Context, deployment: Workload, process: PodProcess | undefined): Promise<void> {
  const replicas = process ? 1 : 0
  const ready = process?.isReady ? 1 : 0
  const status = {
    observedGeneration: deployment.metadata.generation ?? 1,
    replicas,
    updatedReplicas: replicas,
    readyReplicas: ready,
    availableReplicas: ready,
    unavailableReplicas: replicas - ready,
  }
  if (sameFields(deployment.status, status)) return
  const { namespace, name } = deployment.metadata
  await client.patch(resources.deployments, namespace, name, { status }, 'status')
}
