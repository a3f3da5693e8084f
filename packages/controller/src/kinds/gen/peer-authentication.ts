// Generated from deploy/crds by tools/generate-kinds.ts; do not edit.
import type { ObjectMeta } from '../core.ts'

/** security.istio.io/v1, namespaced. */
export interface PeerAuthentication {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly spec: {
    readonly mtls?: {
      readonly mode?: 'UNSET' | 'DISABLE' | 'PERMISSIVE' | 'STRICT'
    }
    readonly portLevelMtls?: Readonly<Record<string, {
      readonly mode?: 'UNSET' | 'DISABLE' | 'PERMISSIVE' | 'STRICT'
    }>>
    readonly selector?: {
      readonly matchLabels?: Readonly<Record<string, string>>
    }
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
