// The parts of Pods and Namespaces that the agent reads.
import type { KubeObject, WatchedKind } from '@wishbone/runtime/kube'

export interface ProbeAction {
  readonly httpGet?: { readonly port: number | string; readonly host?: string }
  readonly tcpSocket?: { readonly port: number | string; readonly host?: string }
  readonly grpc?: { readonly port: number }
}

export interface Container {
  readonly name: string
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number; readonly protocol?: string }[]
  readonly livenessProbe?: ProbeAction
  readonly readinessProbe?: ProbeAction
  readonly startupProbe?: ProbeAction
  readonly lifecycle?: { readonly postStart?: ProbeAction; readonly preStop?: ProbeAction }
  readonly restartPolicy?: string
}

export interface ContainerStatus {
  /** `<runtime>://<id>`. */
  readonly containerID?: string
}

export interface Pod extends KubeObject {
  readonly spec?: {
    readonly nodeName?: string
    readonly serviceAccountName?: string
    readonly hostNetwork?: boolean
    readonly containers?: readonly Container[]
    readonly initContainers?: readonly Container[]
  }
  readonly status?: {
    readonly phase?: string
    readonly podIP?: string
    readonly podIPs?: readonly { readonly ip: string }[]
    readonly containerStatuses?: readonly ContainerStatus[]
    readonly initContainerStatuses?: readonly ContainerStatus[]
    readonly ephemeralContainerStatuses?: readonly ContainerStatus[]
  }
}

export type Namespace = KubeObject

export const podKind = {
  apiVersion: 'v1',
  kind: 'Pod',
  plural: 'pods',
  namespaced: true,
} as const satisfies WatchedKind
export const namespaceKind = {
  apiVersion: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  namespaced: false,
} as const satisfies WatchedKind
export const eventKind = {
  apiVersion: 'v1',
  kind: 'Event',
  plural: 'events',
  namespaced: true,
} as const satisfies WatchedKind

/** `<namespace>/<name>`, for messages. */
export function nameOf(pod: Pod): string {
  return `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`
}

/** The ids of its containers as control groups bear them. */
export function containerIdsOf({ status }: Pod): readonly string[] {
  return [status?.containerStatuses, status?.initContainerStatuses, status?.ephemeralContainerStatuses]
    .flatMap((statuses) => statuses ?? [])
    .flatMap(({ containerID }) => (containerID === undefined ? [] : [containerID.replace(/^.*:\/\//, '')]))
}

/** The addresses that the kubelet has reported. */
export function ipsOf({ status }: Pod): readonly string[] {
  const all = (status?.podIPs ?? []).map(({ ip }) => ip)
  return all.length > 0 || status?.podIP === undefined ? all : [status.podIP]
}
