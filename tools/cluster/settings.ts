// What the cluster is: versions, nodes, address ranges, and where its files lie. Plain data, no effects.
import { homedir } from 'node:os'
import { join } from 'node:path'

export const kubernetesVersion = 'v1.36.3'

export interface NodeSettings {
  readonly name: string
  /** On the cluster's bridge. */
  readonly ip: string
  readonly podCidr: string
  /** The host's end of the node's cable (at most 15 characters). */
  readonly link: string
}

export const nodes: readonly NodeSettings[] = [1, 2].map((index) => ({
  name: `node${index}`,
  ip: `172.30.0.${10 + index}`,
  podCidr: `10.244.${index}.0/24`,
  link: `wishbone-node${index}`,
}))

export const network = {
  bridge: 'wishbone0',
  hostIp: '172.30.0.1',
  lan: '172.30.0.0/24',
  pods: '10.244.0.0/16',
  services: '10.96.0.0/16',
  loadBalancers: '172.31.0.0/24',
  apiService: '10.96.0.1',
  dns: '10.96.0.10',
  apiPort: 6443,
  /** On loopback. */
  etcdPort: 24379,
} as const

/** Every address that belongs to the cluster; no packet from or to one of them may leave the machine. */
export const ranges: readonly string[] = [network.lan, network.pods, network.services, network.loadBalancers]

const env = (name: string): string | undefined => (process.env[name] === '' ? undefined : process.env[name])
const cache = join(env('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'wishbone/cluster')
const state = env('WISHBONE_CLUSTER_STATE') ?? '/var/tmp/wishbone-cluster'

export const paths = {
  state,
  /** Binaries and test images, kept between clusters. */
  cache,
  bin: join(cache, 'bin'),
  kubeconfig: join(state, 'admin.kubeconfig'),
  pki: join(state, 'pki'),
  logs: join(state, 'log'),
  /** OCI archives that every node imports when it starts. */
  images: join(state, 'images'),
  node: (name: string): string => join(state, name),
} as const
