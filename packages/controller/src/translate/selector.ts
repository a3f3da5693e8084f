// Kubernetes label selectors.

type Labels = Readonly<Record<string, string>>

export interface LabelSelector {
  readonly matchLabels?: Labels
  readonly matchExpressions?: readonly {
    readonly key: string
    readonly operator: string
    readonly values?: readonly string[]
  }[]
}

/** Whether `labels` has every label of `wanted`. */
export function hasLabels(labels: Labels | undefined, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels?.[key] === value)
}

/** An empty selector matches everything; an unknown operator nothing. */
export function selects(selector: LabelSelector, labels: Labels): boolean {
  if (!hasLabels(labels, selector.matchLabels ?? {})) return false
  return (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
    // "constructor" is a key that a label may have, and that every object has.
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value)
      case 'NotIn':
        return value === undefined || !values.includes(value)
      case 'Exists':
        return value !== undefined
      case 'DoesNotExist':
        return value === undefined
      default:
        return false
    }
  })
}

export interface RouteNamespaces {
  readonly from?: string
  readonly selector?: LabelSelector
}

/** A listener's allowedRoutes.namespaces (default: the Gateway's own namespace). */
export function allowsNamespace(
  allowed: RouteNamespaces | undefined,
  gatewayNamespace: string,
  namespace: string,
  namespaceLabels: Labels,
): boolean {
  switch (allowed?.from ?? 'Same') {
    case 'All':
      return true
    case 'Same':
      return namespace === gatewayNamespace
    case 'Selector':
      // The name label is always there on a cluster; a hand-made namespace may lack it.
      return (
        !!allowed?.selector &&
        selects(allowed.selector, { 'kubernetes.io/metadata.name': namespace, ...namespaceLabels })
      )
    default:
      return false
  }
}
