// The status that an object should have, from the one it has and the part that is ours. Pure.
// Foreign conditions and foreign parents stay as they are; lastTransitionTime moves only when `status` changes.
import { stableJson } from '@wishbone/core/result'
import type { KubeObject } from '@wishbone/runtime/kube'
import type { Condition } from '../kinds/index.ts'
import type { AncestorStatus, ListenerStatus, ParentReference, ParentStatus, StatusOf } from '../model/index.ts'
import { conditionTypes } from '../translate/names.ts'

/** The members of `status` that both sides know. Whatever else is there is not touched. */
interface LiveStatus {
  readonly conditions?: readonly Condition[]
  readonly parents?: readonly ParentStatus[]
  readonly ancestors?: readonly AncestorStatus[]
  readonly listeners?: readonly ListenerStatus[]
  readonly addresses?: unknown
  readonly supportedFeatures?: unknown
  readonly attachedListenerSets?: number
}

/**
 * `apply`: list-maps, where a server-side apply of our own entries leaves the others alone (and takes away what we applied
 * before and no longer want). `patch`: complete atomic lists, to be sent with the resource version they were merged on.
 */
export interface MergedStatus {
  readonly how: 'apply' | 'patch'
  readonly status: Readonly<Record<string, unknown>>
  /** Whether the live object already says all of this, and nothing of ours that is no longer wanted. */
  readonly equal: boolean
}

/** Kinds whose conditions, and listeners, are maps in the schema: the Gateway API's parents, and Service. */
const listMaps = new Set(['Gateway', 'GatewayClass', 'ListenerSet', 'Service'])

/**
 * How many entries the schemas allow, whosever they are. New ones of ours are the last: what has no room for them is not
 * told, as GEP-713 has it, rather than that the API refuses all of ours.
 */
const room = { parents: 32, ancestors: 16 } as const

const enforcementTypes: ReadonlySet<string> = new Set([conditionTypes.ztunnelAccepted, conditionTypes.waypointAccepted])

/** `now` is RFC 3339 in whole seconds. */
export function mergeStatus(object: KubeObject, wanted: StatusOf, now: string): MergedStatus {
  const live = (object['status'] ?? {}) as LiveStatus
  return listMaps.has(wanted.kind) ? mergeMaps(live, wanted, now) : mergeAtomic(live, wanted, now)
}

function mergeMaps(live: LiveStatus, wanted: StatusOf, now: string): MergedStatus {
  const status: Record<string, unknown> = {}
  let equal = true
  if (wanted.conditions !== undefined) {
    status['conditions'] = timed(wanted.conditions, live.conditions, now)
    equal &&= covers(live.conditions, status['conditions'] as readonly Condition[])
  }
  if (wanted.listeners !== undefined) {
    const before = new Map((live.listeners ?? []).map((listener) => [listener.name, listener]))
    const listeners = wanted.listeners.map((listener) => {
      const conditions = timed(listener.conditions, before.get(listener.name)?.conditions, now)
      return { ...listener, conditions }
    })
    status['listeners'] = listeners
    equal &&= listeners.length === before.size
    for (const listener of listeners) {
      const { conditions, ...rest } = listener
      const { conditions: liveConditions, ...liveRest } = before.get(listener.name) ?? { conditions: undefined }
      equal &&= covers(liveConditions, conditions) && same(rest, liveRest)
    }
  }
  for (const member of ['addresses', 'supportedFeatures'] as const) {
    if (wanted[member] === undefined) continue
    status[member] = wanted[member]
    equal &&= same(live[member] ?? [], wanted[member])
  }
  if (wanted.attachedListenerSets !== undefined) {
    status['attachedListenerSets'] = wanted.attachedListenerSets
    equal &&= (live.attachedListenerSets ?? 0) === wanted.attachedListenerSets
  }
  return { how: 'apply', status, equal }
}

function mergeAtomic(live: LiveStatus, wanted: StatusOf, now: string): MergedStatus {
  const status: Record<string, unknown> = {}
  if (wanted.conditions !== undefined) {
    const ours = timed(wanted.conditions, live.conditions, now)
    // A policy has one of these, by what it is for, and may come to be for something else.
    const kept = (live.conditions ?? []).filter(
      ({ type }) => !enforcementTypes.has(type) || ours.some((one) => one.type === type),
    )
    status['conditions'] = inPlace(kept, ours, (a, b) => a.type === b.type)
  }
  if (wanted.parents !== undefined) {
    const refOf = (one: ParentStatus) => one.parentRef
    const merged = mergeEntries(live.parents ?? [], wanted.parents, refOf, wanted.parentControllers, now)
    status['parents'] = merged.slice(0, room.parents)
  }
  if (wanted.ancestors !== undefined) {
    const refOf = (one: AncestorStatus) => one.ancestorRef
    const merged = mergeEntries(live.ancestors ?? [], wanted.ancestors, refOf, wanted.parentControllers, now)
    status['ancestors'] = merged.slice(0, room.ancestors)
  }
  for (const member of ['listeners', 'addresses', 'supportedFeatures'] as const)
    if (wanted[member] !== undefined) status[member] = wanted[member]
  const known = live as Readonly<Record<string, unknown>>
  const equal = Object.entries(status).every(([member, value]) =>
    same(unordered(known[member] ?? []), unordered(value)),
  )
  return { how: 'patch', status, equal }
}

/** The entries of other controllers as they are, and ours: those of `controllers` that are no longer wanted go. */
function mergeEntries<T extends Pick<ParentStatus, 'controllerName' | 'conditions'>>(
  live: readonly T[],
  wanted: readonly T[],
  refOf: (one: T) => ParentReference,
  controllers: readonly string[] = [],
  now: string,
): readonly T[] {
  const own = new Set([...controllers, ...wanted.map((one) => one.controllerName)])
  const isSame = (one: T, other: T): boolean =>
    one.controllerName === other.controllerName && same(refOf(one), refOf(other))
  const ours = wanted.map((entry) => {
    const before = live.find((one) => isSame(one, entry))
    return { ...entry, conditions: timed(entry.conditions, before?.conditions, now) }
  })
  const kept = live.filter((one) => !own.has(one.controllerName) || ours.some((other) => isSame(one, other)))
  return inPlace(kept, ours, isSame)
}

/** `live` with `wanted` in the places of those that they are the same as, the rest of them at the end. */
function inPlace<T>(live: readonly T[], wanted: readonly T[], isSame: (a: T, b: T) => boolean): readonly T[] {
  const replaced = live.map((one) => wanted.find((other) => isSame(one, other)) ?? one)
  return [...replaced, ...wanted.filter((other) => !live.some((one) => isSame(one, other)))]
}

/** Our conditions with their times: the old one where the status is still the same. */
function timed(
  wanted: readonly Condition[],
  live: readonly Condition[] | undefined,
  now: string,
): readonly Condition[] {
  return wanted.map((condition) => {
    const before = live?.find(({ type }) => type === condition.type)
    const kept = before?.status === condition.status ? before.lastTransitionTime : undefined
    return { ...condition, lastTransitionTime: kept ?? now }
  })
}

function covers(live: readonly Condition[] | undefined, wanted: readonly Condition[]): boolean {
  return wanted.every((condition) => {
    const found = live?.find(({ type }) => type === condition.type)
    return found !== undefined && same(found, condition)
  })
}

function same(a: unknown, b: unknown): boolean {
  return stableJson(a) === stableJson(b)
}

/** Which of its entries comes first means nothing in these lists. */
function unordered(value: unknown): unknown {
  return Array.isArray(value) ? value.map(stableJson).sort() : value
}

/** The condition types of the live object that this status does not have: maybe ours from an earlier release. */
export function unknownConditions(object: KubeObject, wanted: StatusOf): boolean {
  const types = new Set((wanted.conditions ?? []).map(({ type }) => type))
  return ((object['status'] as LiveStatus | undefined)?.conditions ?? []).some(({ type }) => !types.has(type))
}
