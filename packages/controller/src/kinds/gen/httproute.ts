// Generated from deploy/crds by tools/generate-kinds.ts; do not edit.
import type { ObjectMeta } from '../core.ts'

/** gateway.networking.k8s.io/v1, namespaced. */
export interface HTTPRoute {
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
          readonly cors?: {
            readonly allowCredentials?: boolean
            readonly allowHeaders?: ReadonlyArray<string>
            readonly allowMethods?: ReadonlyArray<'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'CONNECT' | 'OPTIONS' | 'TRACE' | 'PATCH' | '*'>
            readonly allowOrigins?: ReadonlyArray<string>
            readonly exposeHeaders?: ReadonlyArray<string>
            readonly maxAge?: number
          }
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
          readonly requestRedirect?: {
            readonly hostname?: string
            readonly path?: {
              readonly replaceFullPath?: string
              readonly replacePrefixMatch?: string
              readonly type: 'ReplaceFullPath' | 'ReplacePrefixMatch'
            }
            readonly port?: number
            readonly scheme?: 'http' | 'https'
            readonly statusCode?: number
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
          readonly type: 'RequestHeaderModifier' | 'ResponseHeaderModifier' | 'RequestMirror' | 'RequestRedirect' | 'URLRewrite' | 'ExtensionRef' | 'CORS'
          readonly urlRewrite?: {
            readonly hostname?: string
            readonly path?: {
              readonly replaceFullPath?: string
              readonly replacePrefixMatch?: string
              readonly type: 'ReplaceFullPath' | 'ReplacePrefixMatch'
            }
          }
        }>
        readonly group?: string
        readonly kind?: string
        readonly name: string
        readonly namespace?: string
        readonly port?: number
        readonly weight?: number
      }>
      readonly filters?: ReadonlyArray<{
        readonly cors?: {
          readonly allowCredentials?: boolean
          readonly allowHeaders?: ReadonlyArray<string>
          readonly allowMethods?: ReadonlyArray<'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'CONNECT' | 'OPTIONS' | 'TRACE' | 'PATCH' | '*'>
          readonly allowOrigins?: ReadonlyArray<string>
          readonly exposeHeaders?: ReadonlyArray<string>
          readonly maxAge?: number
        }
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
        readonly requestRedirect?: {
          readonly hostname?: string
          readonly path?: {
            readonly replaceFullPath?: string
            readonly replacePrefixMatch?: string
            readonly type: 'ReplaceFullPath' | 'ReplacePrefixMatch'
          }
          readonly port?: number
          readonly scheme?: 'http' | 'https'
          readonly statusCode?: number
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
        readonly type: 'RequestHeaderModifier' | 'ResponseHeaderModifier' | 'RequestMirror' | 'RequestRedirect' | 'URLRewrite' | 'ExtensionRef' | 'CORS'
        readonly urlRewrite?: {
          readonly hostname?: string
          readonly path?: {
            readonly replaceFullPath?: string
            readonly replacePrefixMatch?: string
            readonly type: 'ReplaceFullPath' | 'ReplacePrefixMatch'
          }
        }
      }>
      readonly matches?: ReadonlyArray<{
        readonly headers?: ReadonlyArray<{
          readonly name: string
          readonly type?: 'Exact' | 'RegularExpression'
          readonly value: string
        }>
        readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'CONNECT' | 'OPTIONS' | 'TRACE' | 'PATCH'
        readonly path?: {
          readonly type?: 'Exact' | 'PathPrefix' | 'RegularExpression'
          readonly value?: string
        }
        readonly queryParams?: ReadonlyArray<{
          readonly name: string
          readonly type?: 'Exact' | 'RegularExpression'
          readonly value: string
        }>
      }>
      readonly name?: string
      readonly retry?: {
        readonly attempts?: number
        readonly backoff?: string
        readonly codes?: ReadonlyArray<number>
      }
      readonly timeouts?: {
        readonly backendRequest?: string
        readonly request?: string
      }
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
