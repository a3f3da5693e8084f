// A listener as it is written, and the object that it is written in.
import type { Gateway, ListenerSet } from '../../kinds/index.ts'

export type ListenerOwner = Gateway | ListenerSet
export type ListenerSpec = Gateway['spec']['listeners'][number]

/** A listener beside others: a ListenerSet's stand beside its Gateway's. */
export interface OwnedListener {
  readonly spec: ListenerSpec
  readonly owner: ListenerOwner
}
