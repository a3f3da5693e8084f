// What a translation wants of the Kubernetes API: objects to apply or delete, and statuses.
// Values only; the deployer and the status writer act on them, leader only.
import type { Condition, KubeObject } from '../kinds/index.ts'
import type { Mesh } from './mesh.ts'

export interface ObjectReference {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
}

export type Desired =
  | {
      /** Server-side apply; what an earlier apply owned and this one lacks goes away. */
      readonly kind: 'apply'
      readonly object: KubeObject & Readonly<Record<string, unknown>>
      /** An object of this name that somebody else made serves as well: it is left alone and nothing is missing. */
      readonly unlessForeign?: boolean
    }
  | { readonly kind: 'delete'; readonly ref: ObjectReference }
  /** If it is there it stays as it is. */
  | { readonly kind: 'keep'; readonly ref: ObjectReference }

/** A reference to a parent, copied verbatim from the route. */
export interface ParentReference {
  readonly group?: string
  readonly kind?: string
  readonly namespace?: string
  readonly name: string
  readonly sectionName?: string
  readonly port?: number
}

export interface ParentStatus {
  readonly parentRef: ParentReference
  readonly controllerName: string
  readonly conditions: readonly Condition[]
}

export interface AncestorStatus {
  readonly ancestorRef: ParentReference
  readonly controllerName: string
  readonly conditions: readonly Condition[]
}

export interface ListenerStatus {
  readonly name: string
  readonly attachedRoutes: number
  readonly supportedKinds: readonly { readonly group: string; readonly kind: string }[]
  readonly conditions: readonly Condition[]
}

/**
 * The whole status that we want on one object. `conditions` are ours only: the writer keeps foreign
 * types and sets lastTransitionTime (kept while `status` is unchanged). `parents` are entries of our
 * controllers: the list is atomic, the writer replaces the entries whose controllerName is in
 * `parentControllers` and keeps the others. Absent members: not ours to write.
 */
export interface StatusOf extends ObjectReference {
  /** Generation that was translated; already in every condition as observedGeneration. */
  readonly generation: number
  readonly conditions?: readonly Condition[]
  readonly parents?: readonly ParentStatus[]
  readonly parentControllers?: readonly string[]
  readonly listeners?: readonly ListenerStatus[]
  readonly addresses?: readonly { readonly type: string; readonly value: string }[]
  readonly supportedFeatures?: readonly { readonly name: string }[]
  /** Of a Gateway. */
  readonly attachedListenerSets?: number
  /** Of a policy; like parents, entries of our controllers in an atomic list. */
  readonly ancestors?: readonly AncestorStatus[]
}

/** A warning about an object, for people. */
export interface EventOf {
  readonly object: ObjectReference & { readonly uid: string }
  readonly reason: string
  readonly message: string
}

export interface Translation {
  readonly mesh: Mesh
  readonly infra: readonly Desired[]
  readonly statuses: readonly StatusOf[]
  readonly events: readonly EventOf[]
  /** Translate again at this time even if nothing changed (a time limit ends); milliseconds since the epoch. */
  readonly recheckAtUnixMs?: number
}
