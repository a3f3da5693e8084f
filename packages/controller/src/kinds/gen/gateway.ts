// Generated from deploy/crds by tools/generate-kinds.ts; do not edit.
import type { ObjectMeta } from '../core.ts'

/** gateway.networking.k8s.io/v1, namespaced. */
export interface Gateway {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly spec: {
    readonly addresses?: ReadonlyArray<{
      readonly type?: string
      readonly value?: string
    }>
    readonly allowedListeners?: {
      readonly namespaces?: {
        readonly from?: 'All' | 'Selector' | 'Same' | 'None'
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
    readonly gatewayClassName: string
    readonly infrastructure?: {
      readonly annotations?: Readonly<Record<string, string>>
      readonly labels?: Readonly<Record<string, string>>
      readonly parametersRef?: {
        readonly group: string
        readonly kind: string
        readonly name: string
      }
    }
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
    readonly tls?: {
      readonly backend?: {
        readonly clientCertificateRef?: {
          readonly group?: string
          readonly kind?: string
          readonly name: string
          readonly namespace?: string
        }
      }
      readonly frontend?: {
        readonly default: {
          readonly validation?: {
            readonly caCertificateRefs: ReadonlyArray<{
              readonly group: string
              readonly kind: string
              readonly name: string
              readonly namespace?: string
            }>
            readonly mode?: 'AllowValidOnly' | 'AllowInsecureFallback'
          }
        }
        readonly perPort?: ReadonlyArray<{
          readonly port: number
          readonly tls: {
            readonly validation?: {
              readonly caCertificateRefs: ReadonlyArray<{
                readonly group: string
                readonly kind: string
                readonly name: string
                readonly namespace?: string
              }>
              readonly mode?: 'AllowValidOnly' | 'AllowInsecureFallback'
            }
          }
        }>
      }
    }
  }
  readonly status?: {
    readonly addresses?: ReadonlyArray<{
      readonly type?: string
      readonly value: string
    }>
    readonly attachedListenerSets?: number
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
