// Generated from deploy/crds by tools/generate-kinds.ts; do not edit.
import type { ObjectMeta } from '../core.ts'

/** security.istio.io/v1, namespaced. */
export interface AuthorizationPolicy {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly spec: {
    readonly action?: 'ALLOW' | 'DENY' | 'AUDIT' | 'CUSTOM'
    readonly provider?: {
      readonly name?: string
    }
    readonly rules?: ReadonlyArray<{
      readonly from?: ReadonlyArray<{
        readonly source?: {
          readonly ipBlocks?: ReadonlyArray<string>
          readonly namespaces?: ReadonlyArray<string>
          readonly notIpBlocks?: ReadonlyArray<string>
          readonly notNamespaces?: ReadonlyArray<string>
          readonly notPrincipals?: ReadonlyArray<string>
          readonly notRemoteIpBlocks?: ReadonlyArray<string>
          readonly notRequestPrincipals?: ReadonlyArray<string>
          readonly notServiceAccounts?: ReadonlyArray<string>
          readonly notTrustDomains?: ReadonlyArray<string>
          readonly principals?: ReadonlyArray<string>
          readonly remoteIpBlocks?: ReadonlyArray<string>
          readonly requestPrincipals?: ReadonlyArray<string>
          readonly serviceAccounts?: ReadonlyArray<string>
          readonly trustDomains?: ReadonlyArray<string>
        }
      }>
      readonly to?: ReadonlyArray<{
        readonly operation?: {
          readonly hosts?: ReadonlyArray<string>
          readonly methods?: ReadonlyArray<string>
          readonly notHosts?: ReadonlyArray<string>
          readonly notMethods?: ReadonlyArray<string>
          readonly notPaths?: ReadonlyArray<string>
          readonly notPorts?: ReadonlyArray<string>
          readonly paths?: ReadonlyArray<string>
          readonly ports?: ReadonlyArray<string>
        }
      }>
      readonly when?: ReadonlyArray<{
        readonly key: string
        readonly notValues?: ReadonlyArray<string>
        readonly values?: ReadonlyArray<string>
      }>
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
