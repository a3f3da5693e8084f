// Whether a pod is part of the mesh, and how it is captured (ambient wire §3.1, §3.2). A pure function of two objects.
import type { Namespace, Pod } from '../kinds.ts'
import { foreignMark } from './foreign.ts'
import { probePortsOf } from './probes.ts'

export const labels = { mode: 'istio.io/dataplane-mode' } as const
export const annotations = {
  redirection: 'ambient.istio.io/redirection',
  bypassInbound: 'ambient.istio.io/bypass-inbound-capture',
  dnsCapture: 'ambient.istio.io/dns-capture',
  virtualInterfaces: 'istio.io/reroute-virtual-interfaces',
} as const

const maxVirtualInterfaces = 64

export interface EnrolmentSettings {
  readonly excludedNamespaces: readonly string[]
  /** Capture DNS unless the pod says otherwise. */
  readonly dns: boolean
}

/** How a pod is captured. */
export interface Capture {
  readonly inbound: boolean
  readonly dns: boolean
  /** Ports that the kubelet calls, for this pod's own probes. */
  readonly probePorts: readonly number[]
  /** Interfaces inside the pod whose inbound traffic counts as the pod's outbound (virtual machines, nested containers). */
  readonly virtualInterfaces: readonly string[]
}

export type Enrolment =
  | { readonly kind: 'in'; readonly capture: Capture }
  /** `ended`: the pod does not run any more, so that nothing has to be kept for it. `refused`: against what its labels say. */
  | { readonly kind: 'out'; readonly reason: string; readonly ended: boolean; readonly refused: boolean }

/** Decides for one pod; `namespace` is undefined when it is not known (yet): then only the pod's own label counts. */
export function decideEnrolment(pod: Pod, namespace: Namespace | undefined, settings: EnrolmentSettings): Enrolment {
  const out = (reason: string): Enrolment => ({ kind: 'out', reason, ended: false, refused: false })
  const phase = pod.status?.phase
  if (phase === 'Succeeded' || phase === 'Failed') return { ...notAnyMore, reason: `its phase is ${phase}` }
  if (pod.spec?.hostNetwork === true) return out("it uses the host's network")
  const own = pod.metadata.labels?.[labels.mode]
  if (own === 'none') return out(`its label ${labels.mode} is none`)
  if (own !== 'ambient' && namespace?.metadata.labels?.[labels.mode] !== 'ambient')
    return out(`neither it nor its namespace has the label ${labels.mode}=ambient`)
  const excluded = pod.metadata.namespace ?? ''
  if (settings.excludedNamespaces.includes(excluded)) return out(`namespace ${excluded} is excluded`)
  const foreign = foreignMark(pod)
  if (foreign !== undefined) return { kind: 'out', reason: foreign, ended: false, refused: true }
  return { kind: 'in', capture: captureOf(pod, settings) }
}

const notAnyMore = { kind: 'out', ended: true, refused: false } as const

function captureOf(pod: Pod, settings: EnrolmentSettings): Capture {
  const own = pod.metadata.annotations ?? {}
  const dns = own[annotations.dnsCapture]
  return {
    inbound: own[annotations.bypassInbound] !== 'true',
    dns: dns === 'true' ? true : dns === 'false' ? false : settings.dns,
    probePorts: probePortsOf(pod),
    virtualInterfaces: interfacesOf(own[annotations.virtualInterfaces] ?? ''),
  }
}

/** The first ones of a list: each is rules that the whole node's agent waits for, and an annotation may hold 256 KiB. */
function interfacesOf(list: string): readonly string[] {
  const names = list.split(',').map((name) => name.trim())
  return [...new Set(names.filter((name) => /^[A-Za-z0-9_.-]{1,15}\*?$/.test(name)))].slice(0, maxVirtualInterfaces)
}
