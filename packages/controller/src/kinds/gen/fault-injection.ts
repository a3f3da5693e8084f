// Generated from deploy/crds by tools/generate-kinds.ts; do not edit.
import type { ObjectMeta } from '../core.ts'

/** wishbone.dev/v1alpha1, namespaced. */
export interface FaultInjection {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly spec: {
    readonly delay?: {
      readonly fixedDelay: string
      readonly percentage?: number
    }
    readonly abort?: {
      readonly httpStatus?: number
      readonly grpcStatus?: number
      readonly percentage?: number
    }
  }
  readonly status?: {
    readonly conditions?: ReadonlyArray<{
      readonly type: string
      readonly status: 'True' | 'False' | 'Unknown'
      readonly reason: string
      readonly message: string
      readonly lastTransitionTime: string
      readonly observedGeneration?: number
    }>
  }
}
