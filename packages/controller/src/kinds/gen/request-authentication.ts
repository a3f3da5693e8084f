// Generated from deploy/crds by tools/generate-kinds.ts; do not edit.
import type { ObjectMeta } from '../core.ts'

/** security.istio.io/v1, namespaced. */
export interface RequestAuthentication {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly spec: {
    readonly jwtRules?: ReadonlyArray<{
      readonly audiences?: ReadonlyArray<string>
      readonly forwardOriginalToken?: boolean
      readonly fromCookies?: ReadonlyArray<string>
      readonly fromHeaders?: ReadonlyArray<{
        readonly name: string
        readonly prefix?: string
      }>
      readonly fromParams?: ReadonlyArray<string>
      readonly issuer?: string
      readonly jwks?: string
      readonly jwks_uri?: string
      readonly jwksUri?: string
      readonly outputClaimToHeaders?: ReadonlyArray<{
        readonly claim: string
        readonly header: string
      }>
      readonly outputPayloadToHeader?: string
      readonly spaceDelimitedClaims?: ReadonlyArray<string>
      readonly timeout?: string
    }>
    readonly selector?: {
      readonly matchLabels?: Readonly<Record<string, string>>
    }
    readonly targetRef?: {
      readonly group?: string
      readonly kind: string
      readonly name: string
      readonly namespace?: string
    }
    readonly targetRefs?: ReadonlyArray<{
      readonly group?: string
      readonly kind: string
      readonly name: string
      readonly namespace?: string
    }>
  }
  readonly status?: {
    readonly conditions?: ReadonlyArray<{
      readonly lastProbeTime?: string
      readonly lastTransitionTime?: string
      readonly message?: string
      readonly observedGeneration?: number | string
      readonly reason?: string
      readonly status?: string
      readonly type?: string
    }>
    readonly observedGeneration?: number | string
    readonly validationMessages?: ReadonlyArray<{
      readonly documentationUrl?: string
      readonly level?: 'UNKNOWN' | 'ERROR' | 'WARNING' | 'INFO'
      readonly type?: {
        readonly code?: string
        readonly name?: string
      }
    }>
  }
}
