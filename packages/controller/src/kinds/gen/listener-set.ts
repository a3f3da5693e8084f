// Generated from deploy/crds by tools/generate-kinds.ts; do not edit.
import type { ObjectMeta } from '../core.ts'

/** gateway.networking.k8s.io/v1, namespaced. */
export interface ListenerSet {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly spec: {
    readonly listeners: ReadonlyArray<{
      readonly allowedRoutes?: {
        readonly kinds?: ReadonlyArray<{
          readonly group?: string
          readonly kind: string
        }>
        readonly namespaces?: {
          readonly from?: 'All' | 'Selector' | 'Same'
          readonly selector?: {
            readonly matchExpressions?: ReadonlyArray<{
              readonly key: string
              readonly operator: string
              readonly values?: ReadonlyArray<string>
            }>
            readonly matchLabels?: Readonly<Record<string, string>>
          }
        }
      }
      readonly hostname?: string
      readonly name: string
      readonly port: number
      readonly protocol: string
      readonly tls?: {
        readonly certificateRefs?: ReadonlyArray<{
          readonly group?: string
          readonly kind?: string
          readonly name: string
          readonly namespace?: string
        }>
        readonly mode?: 'Terminate' | 'Passthrough'
        readonly options?: Readonly<Record<string, string>>
      }
    }>
    readonly parentRef: {
      readonly group?: string
      readonly kind?: string
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
    readonly listeners?: ReadonlyArray<{
      readonly attachedRoutes: number
      readonly conditions: ReadonlyArray<{
        readonly lastTransitionTime: string
        readonly message: string
        readonly observedGeneration?: number
        readonly reason: string
        readonly status: 'True' | 'False' | 'Unknown'
        readonly type: string
      }>
      readonly name: string
      readonly supportedKinds?: ReadonlyArray<{
        readonly group?: string
        readonly kind: string
      }>
    }>
  }
}
