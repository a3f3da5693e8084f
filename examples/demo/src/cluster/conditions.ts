// Conditions in an object's status, wherever its kind keeps them.
import type { KubeObject } from '@wishbone/runtime/kube'

export interface SeenCondition {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message: string
}

interface AnyStatus {
  readonly status?: {
    readonly conditions?: readonly SeenCondition[]
    readonly parents?: readonly { readonly conditions?: readonly SeenCondition[] }[]
    readonly listeners?: readonly { readonly conditions?: readonly SeenCondition[] }[]
  }
}

/** The first condition of the type: the object's own, a route's for its first parent, a listener's. */
export function conditionOf(object: KubeObject, type: string): SeenCondition | undefined {
  const { conditions = [], parents = [], listeners = [] } = (object as unknown as AnyStatus).status ?? {}
  const all = [...conditions, ...[...parents, ...listeners].flatMap((entry) => entry.conditions ?? [])]
  return all.find((condition) => condition.type === type)
}
