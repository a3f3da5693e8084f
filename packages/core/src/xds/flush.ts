// What a session owes its client now: the responses that may be sent, in order.
import { typeUrls } from '@wishbone/proto'
import { type Diff, diffOf, type Known, membersOf, resolveName } from './diff.ts'
import { pushOrder, type Session, type TypeState } from './state.ts'
import type { NamedResource, ResourceMap, SessionOutput, VersionedResource } from './types.ts'

/**
 * What the resources of a type name or count on, which so comes before them and leaves after them: a request between the two would fail
 * although nothing is wrong ("make before break", xDS protocol, eventual consistency considerations). A listener says whether it
 * has routes, and an Authorization is only what layer 4 can make of the RequestPolicy of its name, and allows less.
 */
const leadersOf: ReadonlyMap<string, readonly string[]> = new Map([
  [typeUrls.authorization, [typeUrls.requestPolicy]],
  [typeUrls.address, [typeUrls.requestPolicy, typeUrls.authorization]],
  [typeUrls.tcpRoute, [typeUrls.address]],
  [typeUrls.route, [typeUrls.address]],
  [
    typeUrls.listener,
    [
      typeUrls.requestPolicy,
      typeUrls.authorization,
      typeUrls.address,
      typeUrls.certificate,
      typeUrls.tcpRoute,
      typeUrls.udpRoute,
      typeUrls.route,
    ],
  ],
])
const followersOf: ReadonlyMap<string, readonly string[]> = new Map(
  pushOrder.map((leader) => [leader, [...leadersOf].flatMap(([type, all]) => (all.includes(leader) ? [type] : []))]),
)

const noResources: ResourceMap = new Map()
const noNames: ReadonlyMap<string, boolean> = new Map()

/** What a response to a type would say now. */
interface Due {
  readonly resources: readonly NamedResource[]
  readonly removed: readonly string[]
  /** What the client holds afterwards. */
  readonly known: Known
  readonly current: ResourceMap
}

/** Sends all that may be sent; the session afterwards. Appends to `outputs`. */
export function flush(session: Session, outputs: SessionOutput[]): Session {
  if (session.resources === undefined) return session
  let next = session
  // One pass settles everything, except removals that waited for a type which comes later in the order, and which may wait itself.
  for (;;) {
    const before = next
    for (const typeUrl of inOrder(next)) next = flushType(next, typeUrl, outputs)
    if (next.sequence === before.sequence) return next
  }
}

function inOrder(session: Session): string[] {
  const rank = (typeUrl: string) => {
    const index = pushOrder.indexOf(typeUrl)
    return index < 0 ? pushOrder.length : index
  }
  return [...session.types.keys()].sort((a, b) => rank(a) - rank(b))
}

function flushType(session: Session, typeUrl: string, outputs: SessionOutput[]): Session {
  const type = session.types.get(typeUrl)!
  if (type.outstanding !== undefined) return session
  if (isWaiting(session, typeUrl)) return session
  const due = withoutHeld(session, typeUrl, type)
  const withhold =
    due.removed.length > 0 && followersOf.get(typeUrl)?.some((follower) => isBehind(session, follower)) === true
  // A name that was asked for and is unknown is answered at once: the client holds nothing that could name it.
  const removed = withhold ? due.removed.filter((name) => type.asked.has(name)) : due.removed
  const withheld = [...due.held, ...(withhold ? due.removed.filter((name) => !type.asked.has(name)) : [])]
  const silent = type.sent !== undefined && type.asked.size === 0 && due.resources.length === 0 && removed.length === 0
  const settled: TypeState = { ...type, known: due.known, sent: due.current, asked: noNames, withheld }
  if (silent) {
    if (type.sent === due.current && sameNames(type.withheld, withheld)) return session
    // Nothing in it for this client: it is as up to date as if it had been told.
    const acknowledged = type.acknowledged === type.sent && withheld.length === 0 ? due.current : type.acknowledged
    return replace(session, typeUrl, { ...settled, acknowledged })
  }
  const sequence = session.sequence + 1
  const nonce = String(sequence)
  outputs.push({ kind: 'response', response: { typeUrl, nonce, resources: due.resources, removed } })
  return replace({ ...session, sequence }, typeUrl, { ...settled, outstanding: nonce })
}

/**
 * What is due, without policies that covered workloads by their scope and from now on cover those that name them (`held`): they wait
 * until the client's workloads do.
 */
function withoutHeld(session: Session, typeUrl: string, type: TypeState): Due & { readonly held: readonly string[] } {
  const due = dueOf(session, typeUrl, type)
  const narrowed = due.resources.filter(
    ({ name, resource }) => type.known.get(name)?.shared && !resource.shared && !type.asked.has(name),
  )
  if (typeUrl !== typeUrls.authorization || narrowed.length === 0 || !isBehind(session, typeUrls.address))
    return { ...due, held: [] }
  const held = narrowed.map(({ name }) => name)
  // The client still has the former ones.
  const known = new Map([...due.known, ...held.map((name) => [name, type.known.get(name)!] as const)])
  return { ...due, resources: due.resources.filter(({ name }) => !held.includes(name)), known, held }
}

function dueOf(session: Session, typeUrl: string, type: TypeState): Due {
  const current = session.resources?.get(typeUrl) ?? noResources
  const wanted = type.wildcard ? current : wantedOf(session, type, current)
  const diff: Diff = diffOf(type.known, wanted)
  const updated = new Set(diff.updated)
  const removed = new Set(diff.removed)
  for (const name of type.withheld) if (!current.has(name)) removed.add(name)
  for (const [name, force] of type.asked) {
    const names = resolveName(current, name)
    if (names.length === 0) removed.add(name)
    else if (force) for (const resolved of names) updated.add(resolved)
  }
  const resources = [...updated].map((name) => ({ name, resource: current.get(name)! }))
  return { resources, removed: [...removed], known: wanted, current }
}

/** What an on-demand client is to hold. */
function wantedOf(session: Session, type: TypeState, current: ResourceMap): ResourceMap {
  const wanted = new Map<string, VersionedResource>()
  const add = (name: string) => void wanted.set(name, current.get(name)!)
  for (const group of session.options.groups ?? []) membersOf(current, group).forEach(add)
  for (const name of type.names) resolveName(current, name).forEach(add)
  return wanted
}

/** Whether resources of a type are owed that others which are to be sent might name. */
function isOwed(session: Session, leader: string): boolean {
  const type = session.types.get(leader)
  if (type === undefined) return session.options.expects?.includes(leader) === true
  if (type.sent === undefined) return true
  // They go first where nothing is in their way; policies that are held (see withoutHeld) go after what they wait for.
  const waits = type.outstanding !== undefined || isWaiting(session, leader)
  return waits && dueOf(session, leader, type).resources.length > 0
}

function isWaiting(session: Session, typeUrl: string): boolean {
  return leadersOf.get(typeUrl)?.some((leader) => isOwed(session, leader)) === true
}

/** Whether the client may still hold resources of a type that name what has left. */
function isBehind(session: Session, follower: string): boolean {
  const type = session.types.get(follower)
  if (type === undefined) return session.options.expects?.includes(follower) === true
  if (type.sent === undefined) return true
  const due = dueOf(session, follower, type)
  return due.resources.length > 0 || due.removed.length > 0
}

function replace(session: Session, typeUrl: string, type: TypeState): Session {
  return { ...session, types: new Map(session.types).set(typeUrl, type) }
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, index) => name === b[index])
}
