// ReferenceGrant: whether an object of one namespace may refer to one in another (GEP-709).
import type { World } from './world.ts'

export interface ReferenceFrom {
  readonly group: string
  readonly kind: string
  readonly namespace: string
}

export interface ReferenceTo {
  readonly group: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
}

/** True in the same namespace, or where a grant in the target's namespace says so. */
export function mayRefer(world: World, from: ReferenceFrom, to: ReferenceTo): boolean {
  if (from.namespace === to.namespace) return true
  return (world.grantsIn.get(to.namespace) ?? []).some(
    ({ spec }) =>
      spec.from.some((f) => f.group === from.group && f.kind === from.kind && f.namespace === from.namespace) &&
      spec.to.some((t) => t.group === to.group && t.kind === to.kind && (t.name === undefined || t.name === to.name)),
  )
}
