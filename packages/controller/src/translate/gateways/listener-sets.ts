// ListenerSets: more listeners for a Gateway, from whoever the Gateway allows (GEP-1713). The Gateway's own listeners come
// first, then the sets', oldest first; of two that conflict the earlier one stays.
import type { Gateway, ListenerSet } from '../../kinds/index.ts'
import { no, type Verdict, yes } from '../conditions.ts'
import { gatewayGroup } from '../names.ts'
import { allowsNamespace } from '../selector.ts'
import { type ClassKind, guarded, keyOf, namespaceLabels, olderFirst, type World } from '../world.ts'
import type { OwnedListener } from './listener-spec.ts'
import { type TranslatedListener, translateListener } from './listeners.ts'

export interface TranslatedListenerSet {
  /** `<namespace>/<name>`. */
  readonly key: string
  readonly object: ListenerSet
  readonly accepted: Verdict
  /** Empty where the Gateway does not allow the set. */
  readonly listeners: readonly TranslatedListener[]
}

/** The sets that refer to this Gateway, in the order of their precedence. */
export function translateListenerSets(
  world: World,
  gateway: Gateway,
  kind: ClassKind,
): readonly TranslatedListenerSet[] {
  const earlier: OwnedListener[] = gateway.spec.listeners.map((spec) => ({ spec, owner: gateway }))
  const key = keyOf(gateway)
  return world.snapshot.listenerSets
    .filter((set) => guarded(world, set, () => parentKey(set)) === key)
    .toSorted(olderFirst)
    .flatMap((set) => {
      const found = guarded(world, set, () => translateSet(world, gateway, set, { kind, earlier }))
      return found ? [found] : []
    })
}

function parentKey({ metadata, spec: { parentRef } }: ListenerSet): string | undefined {
  if ((parentRef.group ?? gatewayGroup) !== gatewayGroup || (parentRef.kind ?? 'Gateway') !== 'Gateway')
    return undefined
  return `${parentRef.namespace ?? metadata.namespace ?? ''}/${parentRef.name}`
}

function translateSet(
  world: World,
  gateway: Gateway,
  object: ListenerSet,
  { kind, earlier }: { readonly kind: ClassKind; readonly earlier: OwnedListener[] },
): TranslatedListenerSet {
  const key = keyOf(object)
  const refused = notAllowed(world, gateway, object, kind)
  if (refused) return { key, object, accepted: refused, listeners: [] }
  const listeners = object.spec.listeners.map((spec) => {
    const listener = translateListener(world, gateway, object, spec, { kind, others: [...earlier] })
    // One that is in conflict takes nothing from those that follow.
    if (!listener.conflicted) earlier.push({ spec, owner: object })
    return listener
  })
  return { key, object, accepted: acceptedVerdict(listeners), listeners }
}

function notAllowed(world: World, gateway: Gateway, set: ListenerSet, kind: ClassKind): Verdict | undefined {
  const key = keyOf(gateway)
  if (kind !== 'gateway') return no('NotAllowed', `Gateway ${key} is a waypoint; it takes no ListenerSets`)
  const namespaces = gateway.spec.allowedListeners?.namespaces
  const from = set.metadata.namespace ?? ''
  const isAllowed =
    (namespaces?.from ?? 'None') !== 'None' &&
    allowsNamespace(namespaces, gateway.metadata.namespace ?? '', from, namespaceLabels(world, from))
  if (isAllowed) return undefined
  return no('NotAllowed', `Gateway ${key} allows no ListenerSets of namespace ${from}; see its spec.allowedListeners`)
}

/** Unlike a Gateway, a set whose listeners all lack what they refer to is not accepted (conformance, ListenerSetReferenceGrant). */
function acceptedVerdict(listeners: readonly TranslatedListener[]): Verdict {
  const bad = listeners.filter(({ usable }) => !usable)
  if (bad.length === 0) return yes('Accepted')
  const why = ({ accepted, resolvedRefs }: TranslatedListener): string =>
    accepted.status === 'False' ? accepted.message : resolvedRefs.message
  const message = bad.map((listener) => `listener ${listener.spec.name}: ${why(listener)}`).join('; ')
  return bad.length === listeners.length ? no('ListenersNotValid', message) : yes('ListenersNotValid', message)
}
