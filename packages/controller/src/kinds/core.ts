// The part of Kubernetes' own kinds that the mesh reads, typed by hand. Objects are as the API
// server sends them: anything not listed here may be present too.

import type { ObjectMeta } from '@wishbone/runtime/kube'

export type { ObjectMeta }

/** Any object of the API, as far as all have in common: unlike the client's, it hides what its kind does not name. */
export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
}

export interface Condition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  readonly observedGeneration?: number
  readonly lastTransitionTime?: string
}

export interface Namespace extends KubeObject {
  readonly status?: { readonly phase?: string }
}

export interface ServiceAccount extends KubeObject {}

export interface Node extends KubeObject {
  readonly status?: {
    readonly addresses?: readonly { readonly type: string; readonly address: string }[]
  }
}

export interface ContainerPort {
  readonly name?: string
  readonly containerPort: number
  readonly protocol?: string
}

export interface Probe {
  readonly httpGet?: { readonly port: number | string }
  readonly tcpSocket?: { readonly port: number | string }
  readonly grpc?: { readonly port: number }
}

export interface Container {
  readonly name: string
  readonly image?: string
  readonly ports?: readonly ContainerPort[]
  readonly restartPolicy?: string
  readonly livenessProbe?: Probe
  readonly readinessProbe?: Probe
  readonly startupProbe?: Probe
}

export interface Pod extends KubeObject {
  readonly spec: {
    readonly containers?: readonly Container[]
    readonly initContainers?: readonly Container[]
    readonly hostNetwork?: boolean
    readonly nodeName?: string
    readonly serviceAccountName?: string
  }
  readonly status?: {
    readonly phase?: string
    readonly podIP?: string
    readonly podIPs?: readonly { readonly ip: string }[]
    readonly hostIP?: string
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
  }
}

export interface ServicePort {
  readonly name?: string
  readonly port: number
  readonly targetPort?: number | string
  readonly protocol?: string
  readonly appProtocol?: string
  readonly nodePort?: number
}

export interface Service extends KubeObject {
  readonly spec: {
    readonly type?: string
    readonly clusterIP?: string
    readonly clusterIPs?: readonly string[]
    readonly externalName?: string
    readonly selector?: Readonly<Record<string, string>>
    readonly ports?: readonly ServicePort[]
    readonly ipFamilies?: readonly string[]
    readonly publishNotReadyAddresses?: boolean
    readonly internalTrafficPolicy?: string
    readonly trafficDistribution?: string
  }
  readonly status?: {
    readonly loadBalancer?: { readonly ingress?: readonly { readonly ip?: string; readonly hostname?: string }[] }
    readonly conditions?: readonly Condition[]
  }
}

export interface EndpointSlice extends KubeObject {
  readonly addressType: string
  readonly endpoints?: readonly {
    readonly addresses: readonly string[]
    readonly conditions?: { readonly ready?: boolean; readonly serving?: boolean; readonly terminating?: boolean }
    readonly targetRef?: { readonly kind?: string; readonly namespace?: string; readonly name?: string }
    readonly nodeName?: string
    readonly zone?: string
  }[]
  readonly ports?: readonly { readonly name?: string; readonly port?: number; readonly protocol?: string }[]
}

/** `data` values are base64, as on the wire. */
export interface Secret extends KubeObject {
  readonly type?: string
  readonly data?: Readonly<Record<string, string>>
}

export interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>
}

export interface Deployment extends KubeObject {
  readonly spec?: { readonly replicas?: number }
  readonly status?: {
    readonly availableReplicas?: number
    readonly readyReplicas?: number
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[]
  }
}
