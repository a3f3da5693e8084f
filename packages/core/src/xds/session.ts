// The server's side of one delta xDS stream, as a value. step() takes what happened and answers the next value and what
// to send. Rules (ambient wire §2.2, and ADR 4):
//  - every first request of a type is answered, even if there is nothing to say; every name asked for is answered;
//  - a type has at most one response that is not acknowledged: what happens meanwhile is joined into the next one;
//  - Authorization goes before Address, and leaves only after the Addresses that named it are gone or changed; one that from
//    now on only covers what names it changes after they do;
//  - what listeners and routes name comes before them and leaves after them (leadersOf in flush.ts);
//  - a NACK is recorded and never answered by sending the same again.
import type { Known } from './diff.ts'
import { flush } from './flush.ts'
import type { Session, SessionOptions, TypeState } from './state.ts'
import type { DeltaRequest, ResourceMap, SessionInput, SessionOutput } from './types.ts'

/** A stream's first state: nothing subscribed, nothing sent. */
export function createSession(options: SessionOptions = {}): Session {
  return { options, resources: options.resources, types: new Map(), sequence: 0 }
}

/** The session after `input`, and what to send or note, in order. */
export function step(session: Session, input: SessionInput): [Session, readonly SessionOutput[]] {
  const outputs: SessionOutput[] = []
  let next: Session
  if (input.kind === 'resources') next = { ...session, resources: input.resources }
  else {
    const { request } = input
    const type = session.types.get(request.typeUrl)
    const updated = type === undefined ? openType(request) : updateType(type, request, outputs)
    next = updated === type ? session : { ...session, types: new Map(session.types).set(request.typeUrl, updated) }
  }
  return [flush(next, outputs), outputs]
}

/** The resources of a type up to which the client has acknowledged everything it gets; compare by reference. */
export function acknowledgedResources(session: Session, typeUrl: string): ResourceMap | undefined {
  return session.types.get(typeUrl)?.acknowledged
}

/** Whether everything that the client subscribed to was sent and answered, be it with a NACK. */
export function isSettled(session: Session): boolean {
  for (const [typeUrl, type] of session.types) {
    if (type.outstanding !== undefined || type.withheld.length > 0 || type.sent === undefined) return false
    const current = session.resources?.get(typeUrl)
    if (current !== undefined && type.sent !== current) return false
  }
  return true
}

function openType(request: DeltaRequest): TypeState {
  const names = request.subscribe.filter((name) => name !== '*')
  // No name at all is the old way to say "*"; leaving "*" in the same request makes it on demand.
  const all = request.subscribe.length === 0 || names.length < request.subscribe.length
  return {
    wildcard: all && !request.unsubscribe.includes('*'),
    names: new Set(names.filter((name) => !request.unsubscribe.includes(name))),
    known: knownOf(request.initialVersions),
    sent: undefined,
    acknowledged: undefined,
    asked: new Map(names.map((name) => [name, request.initialVersions.size === 0])),
    withheld: [],
    outstanding: undefined,
    rejection: undefined,
  }
}

function updateType(type: TypeState, request: DeltaRequest, outputs: SessionOutput[]): TypeState {
  let next = type
  const { typeUrl, nonce } = request
  // An answer to an older response says nothing about the last one; what it subscribes to counts nevertheless.
  if (nonce !== '' && nonce === type.outstanding) {
    if (request.error === undefined) {
      next = { ...next, outstanding: undefined, acknowledged: type.sent }
      outputs.push({ kind: 'acknowledged', typeUrl, nonce })
    } else {
      const rejection = { nonce, message: request.error }
      next = { ...next, outstanding: undefined, rejection }
      outputs.push({ kind: 'rejected', typeUrl, ...rejection })
    }
  }
  if (request.subscribe.length === 0 && request.unsubscribe.length === 0) return next
  const names = new Set(next.names)
  const asked = new Map(next.asked)
  let wildcard = next.wildcard
  for (const name of request.subscribe) {
    if (name === '*') wildcard = true
    else {
      names.add(name)
      asked.set(name, true)
    }
  }
  for (const name of request.unsubscribe) {
    if (name === '*') wildcard = false
    names.delete(name)
    asked.delete(name)
  }
  // Another subscription over the same resources is another state to compare.
  return { ...next, wildcard, names, asked, sent: next.sent === undefined ? undefined : stale }
}

/** Clients that hold nothing share one map, and so one diff. */
const nothingKnown: Known = new Map()

function knownOf(versions: ReadonlyMap<string, string>): Known {
  if (versions.size === 0) return nothingKnown
  return new Map([...versions].map(([name, version]) => [name, { version }]))
}

/** Stands for "sent something, but not up to the current resources". */
const stale: ResourceMap = new Map()
