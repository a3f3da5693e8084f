// Generated from deploy/crds by tools/generate-kinds.ts; do not edit.
import type { ObjectMeta } from '../core.ts'

/** gateway.networking.k8s.io/v1, cluster. */
export interface GatewayClass {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly spec: {
    readonly controllerName: string
    readonly description?: string
    readonly parametersRef?: {
      readonly group: string
      readonly kind: string
      readonly name: string
      readonly namespace?: string
    }
  }
  readonly status?: {
    readonly conditions?: ReadonlyArray<{
      readonly lastTransitionTime: string
      readonly message: string
      readonly observedGeneration?: number
      readonly reason: string
      readonly status: 'True' | 'False' | 'Unknown'
      readonly type: string
    }>
    readonly supportedFeatures?: ReadonlyArray<{
      readonly name: string
    }>
  }
}
