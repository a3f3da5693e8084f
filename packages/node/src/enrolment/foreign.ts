// How a pod shows that another mesh has captured it. Two captures of one pod would send its traffic in circles. Pure.
import type { Pod } from '../kinds.ts'

interface Mark {
  readonly mesh: string
  readonly annotation: string
  readonly container: string
  /** Names of chains, or of tables of nftables, in the pod's namespace. */
  readonly chains: RegExp
}

const marks: readonly Mark[] = [
  {
    mesh: 'Istio',
    annotation: 'sidecar.istio.io/status',
    container: 'istio-proxy',
    chains: /^(ISTIO_|istio-ambient-)/,
  },
  { mesh: 'Linkerd', annotation: 'linkerd.io/proxy-version', container: 'linkerd-proxy', chains: /^PROXY_INIT_/ },
  { mesh: 'Kuma', annotation: 'kuma.io/sidecar-injected', container: 'kuma-sidecar', chains: /^(KUMA_)?MESH_/ },
  {
    mesh: 'Consul',
    annotation: 'consul.hashicorp.com/connect-inject-status',
    container: 'consul-dataplane',
    chains: /^CONSUL_(PROXY|DNS)_/,
  },
]

/** What says that another mesh has put its proxy into the pod, as a half-sentence; undefined: nothing does. */
export function foreignMark(pod: Pod): string | undefined {
  const containers = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])]
  for (const { mesh, annotation, container } of marks) {
    const value = pod.metadata.annotations?.[annotation]
    if (value !== undefined && value !== 'false') return `${mesh} has captured it (annotation ${annotation})`
    if (containers.some(({ name }) => name === container)) return `${mesh} has captured it (container ${container})`
  }
  return undefined
}

/** The same from the names of chains and tables in the pod's namespace. */
export function foreignChain(names: readonly string[]): string | undefined {
  for (const { mesh, chains } of marks) {
    const name = names.find((one) => chains.test(one))
    if (name !== undefined) return `${mesh} has captured it (chain ${name} in its network namespace)`
  }
  return undefined
}
