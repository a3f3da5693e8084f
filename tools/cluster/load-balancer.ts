// Gives Services of type LoadBalancer their addresses, and sends these addresses to a node that lives: what a cloud
// provider's controller does. kube-proxy does the rest. A program of its own beside the control plane; KUBECONFIG says where the cluster is.
import {
  KubeClient,
  type KubeObject,
  listWatch,
  loadConnection,
  messageOf,
  resourcePath,
} from '../../packages/runtime/src/kube/index.ts'
import { assign, type BalancedService } from './addresses.ts'
import { routeLoadBalancers } from './host-network.ts'
import { livingNodes } from './node.ts'
import { network } from './settings.ts'

interface Service extends KubeObject {
  readonly spec?: {
    readonly type?: string
    readonly loadBalancerIP?: string
    readonly loadBalancerClass?: string
  }
  readonly status?: { readonly loadBalancer?: { readonly ingress?: readonly { readonly ip?: string }[] } }
}

const kind = { apiVersion: 'v1', kind: 'Service', plural: 'services', namespaced: true }
/** What MetalLB and others read since spec.loadBalancerIP is deprecated. */
const annotation = 'metallb.io/loadBalancerIPs'

const log = (text: string): void => void process.stdout.write(`${new Date().toISOString()} ${text}\n`)
const client = new KubeClient(await loadConnection(), 'wishbone-load-balancer')
const services = new Map<string, Service>()
const said = new Map<string, string>()
let scheduled: NodeJS.Timeout | undefined

const keyOf = ({ metadata }: KubeObject): string => `${metadata.namespace}/${metadata.name}`

function read(service: Service): BalancedService {
  const { metadata, spec, status } = service
  const has = status?.loadBalancer?.ingress?.[0]?.ip
  const wanted = spec?.loadBalancerIP || metadata.annotations?.[annotation]
  return {
    key: keyOf(service),
    eligible:
      spec?.type === 'LoadBalancer' && spec.loadBalancerClass === undefined && metadata.deletionTimestamp === undefined,
    ...(has === undefined ? {} : { has }),
    ...(wanted === undefined ? {} : { wanted }),
  }
}

async function write(service: Service, address: string | undefined): Promise<void> {
  const { namespace, name, resourceVersion } = service.metadata
  const loadBalancer = { ingress: address === undefined ? null : [{ ip: address, ipMode: 'VIP' }] }
  const key = keyOf(service)
  const written = await client.request<Service>('PATCH', resourcePath(kind, namespace, name, 'status'), {
    patch: 'merge',
    // The version makes a decision on outdated data fail.
    body: { metadata: { resourceVersion }, status: { loadBalancer } },
  })
  // Unless the watch has brought something newer.
  if (services.get(key) === service) services.set(key, written)
  log(`${key}: ${address ?? 'released'}`)
}

async function reconcile(): Promise<void> {
  const age = ({ metadata }: Service): string =>
    `${metadata.creationTimestamp ?? ''} ${metadata.namespace}/${metadata.name}`
  const ordered = [...services.values()].sort((a, b) => (age(a) < age(b) ? -1 : 1))
  const before = ordered.map(read)
  for (const [index, { address, reason }] of assign(before, network.loadBalancers).entries()) {
    const service = ordered[index]!
    const key = keyOf(service)
    if (reason === undefined) said.delete(key)
    else if (said.get(key) !== reason) {
      said.set(key, reason)
      log(`${key}: stays without address: ${reason}`)
    }
    if (address === before[index]!.has) continue
    // Another controller's answers are its own.
    if (service.spec?.type === 'LoadBalancer' && service.spec.loadBalancerClass !== undefined) continue
    try {
      await write(service, address)
    } catch (cause) {
      log(`${key}: ${messageOf(cause)}; tried again`)
      later(500)
    }
  }
}

let running: Promise<void> = Promise.resolve()

function later(ms: number): void {
  if (scheduled !== undefined) return
  scheduled = setTimeout(() => {
    scheduled = undefined
    running = running.then(reconcile)
  }, ms)
}

let routed = ''

/** A node may crash at any moment without anybody saying so. */
function route(): void {
  const living = livingNodes()
  const now = living.map(({ name }) => name).join(' and ')
  if (now === routed) return
  routeLoadBalancers(living)
  log(`nodes that live: ${now || 'none'}`)
  routed = now
}

route()
setInterval(route, 500)
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())
await listWatch(
  client,
  kind,
  {
    replace: (objects) => {
      services.clear()
      for (const object of objects) services.set(keyOf(object), object as Service)
      later(20)
    },
    upsert: (object) => {
      services.set(keyOf(object), object as Service)
      later(20)
    },
    remove: (object) => {
      services.delete(keyOf(object))
      later(20)
    },
  },
  {
    log: { warn: (text, fields) => log(`${text} ${JSON.stringify(fields ?? {})}`) },
    signal: stop.signal,
  },
)
process.exit(0)
