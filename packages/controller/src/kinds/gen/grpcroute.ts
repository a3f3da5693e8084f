// Generated from deploy/crds by tools/generate-kinds.ts; do not edit.
import type { ObjectMeta } from '../core.ts'

/** gateway.networking.k8s.io/v1, namespaced. */
export interface GRPCRoute {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly spec: {
    readonly hostnames?: ReadonlyArray<string>
    readonly parentRefs?: ReadonlyArray<{
      readonly group?: string
      readonly kind?: string
      readonly name: string
      readonly namespace?: string
      readonly port?: number
      readonly sectionName?: string
    }>
    readonly rules?: ReadonlyArray<{
      readonly backendRefs?: ReadonlyArray<{
        readonly filters?: ReadonlyArray<{
          readonly extensionRef?: {
            readonly group: string
            readonly kind: string
            readonly name: string
          }
          readonly requestHeaderModifier?: {
            readonly add?: ReadonlyArray<{
              readonly name: string
              readonly value: string
            }>
            readonly remove?: ReadonlyArray<string>
            readonly set?: ReadonlyArray<{
              readonly name: string
              readonly value: string
            }>
          }
          readonly requestMirror?: {
            readonly backendRef: {
              readonly group?: string
              readonly kind?: string
              readonly name: string
              readonly namespace?: string
              readonly port?: number
            }
            readonly fraction?: {
              readonly denominator?: number
              readonly numerator: number
            }
            readonly percent?: number
          }
          readonly responseHeaderModifier?: {
            readonly add?: ReadonlyArray<{
              readonly name: string
              readonly value: string
            }>
            readonly remove?: ReadonlyArray<string>
            readonly set?: ReadonlyArray<{
              readonly name: string
              readonly value: string
            }>
          }
          readonly type: 'ResponseHeaderModifier' | 'RequestHeaderModifier' | 'RequestMirror' | 'ExtensionRef'
        }>
        readonly group?: string
        readonly kind?: string
        readonly name: string
        readonly namespace?: string
        readonly port?: number
        readonly weight?: number
      }>
      readonly filters?: ReadonlyArray<{
        readonly extensionRef?: {
          readonly group: string
          readonly kind: string
          readonly name: string
        }
        readonly requestHeaderModifier?: {
          readonly add?: ReadonlyArray<{
            readonly name: string
            readonly value: string
          }>
          readonly remove?: ReadonlyArray<string>
          readonly set?: ReadonlyArray<{
            readonly name: string
            readonly value: string
          }>
        }
        readonly requestMirror?: {
          readonly backendRef: {
            readonly group?: string
            readonly kind?: string
            readonly name: string
            readonly namespace?: string
            readonly port?: number
          }
          readonly fraction?: {
            readonly denominator?: number
            readonly numerator: number
          }
          readonly percent?: number
        }
        readonly responseHeaderModifier?: {
          readonly add?: ReadonlyArray<{
            readonly name: string
            readonly value: string
          }>
          readonly remove?: ReadonlyArray<string>
          readonly set?: ReadonlyArray<{
            readonly name: string
            readonly value: string
          }>
        }
        readonly type: 'ResponseHeaderModifier' | 'RequestHeaderModifier' | 'RequestMirror' | 'ExtensionRef'
      }>
      readonly matches?: ReadonlyArray<{
        readonly headers?: ReadonlyArray<{
          readonly name: string
          readonly type?: 'Exact' | 'RegularExpression'
          readonly value: string
        }>
        readonly method?: {
          readonly method?: string
          readonly service?: string
          readonly type?: 'Exact' | 'RegularExpression'
        }
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
