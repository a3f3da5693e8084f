// Generated from deploy/crds by tools/generate-kinds.ts; do not edit.
import type { ObjectMeta } from '../core.ts'

/** gateway.networking.k8s.io/v1, namespaced. */
export interface ReferenceGrant {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly spec: {
    readonly from: ReadonlyArray<{
      readonly group: string
      readonly kind: string
      readonly namespace: string
    }>
    readonly to: ReadonlyArray<{
      readonly group: string
      readonly kind: string
      readonly name?: string
    }>
  }
}
