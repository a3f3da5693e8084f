// The status of a route: one entry for each parentRef that is ours, always with Accepted and
// ResolvedRefs, and for Services whether a waypoint serves it.
import type { Condition } from '../../kinds/index.ts'
import type { ParentStatus, StatusOf } from '../../model/index.ts'
import { condition, generationOf, no, type Verdict, yes } from '../conditions.ts'
import { conditionTypes, parentControllers } from '../names.ts'
import type { Bindings } from '../waypoints/binding.ts'
import type { AttachedParent } from './parents.ts'
import type { RouteObject, TranslatedRoute } from './routes.ts'

/** Undefined: no parent is ours, and none was. */
export function routeStatus(route: TranslatedRoute, bindings: Bindings): StatusOf | undefined {
  const resolved = resolvedRefs(route)
  const parents = route.parents.map((parent): ParentStatus => {
    const conditions: Condition[] = [
      condition(route.object, 'Accepted', parent.accepted),
      condition(route.object, 'ResolvedRefs', resolved),
    ]
    if (route.dropped.length > 0 && parent.accepted.status === 'True') {
      const message = `Dropped Rule: ${route.dropped.join('; ')}`
      conditions.push(condition(route.object, 'PartiallyInvalid', yes('UnsupportedValue', message)))
    }
    const waypoint = waypointVerdict(parent, bindings)
    if (waypoint) conditions.push(condition(route.object, conditionTypes.waypointReady, waypoint))
    return { parentRef: parent.ref, controllerName: parent.controllerName, conditions }
  })
  return statusOf(route.object, parents)
}

/** For a route whose translation threw: every parentRef could be ours, so only those we wrote before are touched. */
export function statusOf(object: RouteObject, parents: readonly ParentStatus[]): StatusOf | undefined {
  const ours = object.status?.parents.some(({ controllerName }) =>
    parentControllers.some((controller) => controller === controllerName),
  )
  if (parents.length === 0 && !ours) return undefined
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    namespace: object.metadata.namespace ?? '',
    name: object.metadata.name,
    generation: generationOf(object),
    parents,
    parentControllers,
  }
}

function resolvedRefs({ problems }: TranslatedRoute): Verdict {
  const first = problems[0]
  if (!first) return yes('ResolvedRefs')
  return no(first.reason, [...new Set(problems.map(({ message }) => message))].join('; '))
}

function waypointVerdict({ target, accepted }: AttachedParent, bindings: Bindings): Verdict | undefined {
  if (target.kind !== 'service' || accepted.status !== 'True') return undefined
  const binding = bindings.services.get(target.key)
  return binding?.verdict ?? no('WaypointMissing', `Service ${target.key} has no waypoint; nothing enforces the route`)
}
