// Generated from deploy/crds by tools/generate-kinds.ts; do not edit.
import type { ObjectMeta } from '../core.ts'

/** gateway.networking.k8s.io/v1, namespaced. */
export interface BackendTLSPolicy {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly spec: {
    readonly options?: Readonly<Record<string, string>>
    readonly targetRefs: ReadonlyArray<{
      readonly group: string
      readonly kind: string
      readonly name: string
      readonly sectionName?: string
    }>
    readonly validation: {
      readonly caCertificateRefs?: ReadonlyArray<{
        readonly group: string
        readonly kind: string
        readonly name: string
      }>
      readonly hostname: string
      readonly subjectAltNames?: ReadonlyArray<{
        readonly hostname?: string
        readonly type: 'Hostname' | 'URI'
        readonly uri?: string
      }>
      readonly wellKnownCACertificates?: string
    }
  }
  readonly status?: {
    readonly ancestors: ReadonlyArray<{
      readonly ancestorRef: {
        readonly group?: string
        readonly kind?: string
        readonly name: string
        readonly namespace?: string
        readonly port?: number
        readonly sectionName?: string
      }
      readonly conditions: ReadonlyArray<{
        readonly lastTransitionTime: string
        readonly message: string
        readonly observedGeneration?: number
        readonly reason: string
        readonly status: 'True' | 'False' | 'Unknown'
        readonly type: string
      }>
      readonly controllerName: string
    }>
  }
}
