// Generated from deploy/crds by tools/generate-kinds.ts; do not edit.
import type { ObjectMeta } from '../core.ts'

/** gateway.networking.k8s.io/v1, namespaced. */
export interface UDPRoute {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly spec: {
    readonly parentRefs?: ReadonlyArray<{
      readonly group?: string
      readonly kind?: string
      readonly name: string
      readonly namespace?: string
      readonly port?: number
      readonly sectionName?: string
    }>
    readonly rules: ReadonlyArray<{
      readonly backendRefs: ReadonlyArray<{
        readonly group?: string
        readonly kind?: string
        readonly name: string
        readonly namespace?: string
        readonly port?: number
        readonly weight?: number
      }>
      readonly name?: string
    }>
  }
  readonly status?: {
    readonly parents: ReadonlyArray<{
      readonly conditions: ReadonlyArray<{
        readonly lastTransitionTime: string
        readonly message: string
        readonly observedGeneration?: number
        readonly reason: string
        readonly status: 'True' | 'False' | 'Unknown'
        readonly type: string
      }>
      readonly controllerName: string
      readonly parentRef: {
        readonly group?: string
        readonly kind?: string
        readonly name: string
        readonly namespace?: string
        readonly port?: number
        readonly sectionName?: string
      }
    }>
  }
}
