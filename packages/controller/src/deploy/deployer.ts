// Makes the infrastructure that a translation wants (server-side apply) and takes away what it made and nobody wants any
// more. It marks what it makes, and never touches an object without its mark: such a name is blocked, and the blocked
// names are told to the next translation. Only ever called on the leader.
import { stableHash } from '@wishbone/core/result'
import {
  isStatus,
  type KubeClient,
  type KubeError,
  type KubeObject,
  type ResourceKind,
  resourcePath,
} from '@wishbone/runtime/kube'
import { inParallel } from '@wishbone/runtime/lifecycle'
import { kindOf, type WatchedName, watchedKinds, watchedNameOf } from '../kube/resources.ts'
import type { Store } from '../kube/store.ts'
import { type Log, messageOf } from '../log.ts'
import type { Desired, Obstacle } from '../model/index.ts'
import { fieldManager, type WriteResult } from '../status/index.ts'
import { managedByLabel } from '../translate/index.ts'
import { contains } from './contains.ts'

export const managedByValue = 'wishbone-controller'
export const appliedHashAnnotation = 'wishbone.dev/applied-hash'

export interface DeployerOptions {
  readonly client: KubeClient
  readonly store: Pick<Store, 'get' | 'objects'>
  readonly log: Log
  /** Called when the set of blocked names has changed. */
  readonly onBlocked?: () => void
}

type Apply = Extract<Desired, { kind: 'apply' }>

/** Kinds that are pruned, in the order in which their absence hurts least; applied in the opposite order. */
const prunedNames: readonly WatchedName[] = [
  'horizontalPodAutoscalers',
  'podDisruptionBudgets',
  'services',
  'deployments',
  'gateways',
  'configMaps',
  'serviceAccounts',
]

interface Applied {
  readonly hash: string
  /** What the store had when it was applied, and what the API answered. */
  readonly basedOn: string | undefined
  readonly version: string
  /** Until when the store may still show what was there before; then, and once it has shown the answer, it is believed. */
  trustUntilMs: number
}

/** What the API has not accepted: the same again it need not be asked with every translation. */
interface Refusal {
  readonly hash: string
  readonly basedOn: string | undefined
  readonly cause: unknown
  readonly times: number
  readonly untilMs: number
}

/** The second time may follow at once: what was missing was perhaps on its way. */
function pauseMs(times: number): number {
  return times < 2 ? 0 : Math.min(30_000, 500 * 2 ** times)
}

/** How far a store that works may lag behind a write. */
const lagMs = 5_000

export class Deployer {
  readonly #options: DeployerOptions
  readonly #applied = new Map<string, Applied>()
  readonly #refusals = new Map<string, Refusal>()
  #blocked = new Map<string, Obstacle>()
  readonly #complaints = new Map<string, string>()
  readonly #left = new Set<string>()

  constructor(options: DeployerOptions) {
    this.#options = options
  }

  /** What stands in the way, by "<kind>/<namespace>/<name>". */
  get blocked(): ReadonlyMap<string, Obstacle> {
    return this.#blocked
  }

  /** Forgets what was applied: another replica may have been the leader meanwhile. */
  reset(): void {
    this.#applied.clear()
    this.#refusals.clear()
  }

  async reconcile(infra: readonly Desired[], signal: AbortSignal): Promise<WriteResult> {
    const result = { written: 0, failed: 0 }
    const blocked = new Map<string, Obstacle>()
    const wanted = new Set<string>()
    const steps = new Map<number, Apply[]>()
    const doomed: KubeObject[] = []
    for (const desired of infra) {
      if (desired.kind === 'delete') {
        const { apiVersion, kind, namespace, name } = desired.ref
        const watched = watchedNameOf(apiVersion, kind)
        const live = watched === undefined ? undefined : this.#options.store.get(watched, namespace, name)
        if (live !== undefined) doomed.push(live)
        continue
      }
      if (desired.kind === 'keep') {
        wanted.add(`${desired.ref.kind}/${desired.ref.namespace}/${desired.ref.name}`)
        continue
      }
      wanted.add(keyOf(desired.object))
      const order = -prunedNames.indexOf(watchedNameOf(desired.object.apiVersion, desired.object.kind) ?? 'services')
      steps.set(order, [...(steps.get(order) ?? []), desired])
    }
    for (const order of [...steps.keys()].sort((a, b) => a - b)) {
      await inParallel(steps.get(order)!, 8, (desired) =>
        this.#guard(keyOf(desired.object), result, () => this.#apply(desired, blocked, signal), blocked),
      )
    }
    for (const name of prunedNames)
      for (const object of this.#options.store.objects(name))
        if (isOurs(object) && !wanted.has(keyOf(object))) doomed.push(object)
    await inParallel([...new Set(doomed)], 8, (object) =>
      this.#guard(keyOf(object), result, () => this.#delete(object, signal)),
    )
    const looked = new Set([...wanted, ...doomed.map(keyOf)])
    for (const known of [this.#applied, this.#refusals, this.#complaints])
      for (const key of known.keys()) if (!looked.has(key)) known.delete(key)
    // What was not looked at any more is not out of the way.
    if (!signal.aborted && stableHash(blocked) !== stableHash(this.#blocked)) {
      this.#blocked = blocked
      this.#options.onBlocked?.()
    }
    return result
  }

  /** True if something was written. */
  async #apply(
    { object, unlessForeign }: Apply,
    blocked: Map<string, Obstacle>,
    signal: AbortSignal,
  ): Promise<boolean> {
    // Its pods would run as somebody else; the account comes first, so that this is known.
    if (signal.aborted || blocked.has(accountKeyOf(object))) return false
    const { client, store, log } = this.#options
    const kind = kindOrThrow(object)
    const key = keyOf(object)
    const { name, namespace } = object.metadata
    const path = resourcePath(kind, namespace, name)
    const watched = watchedNameOf(object.apiVersion, object.kind)
    let live = watched === undefined ? undefined : store.get(watched, kind.namespaced ? namespace : undefined, name)
    const seen = live?.metadata.resourceVersion
    const marked = mark(object)
    const hash = marked.metadata.annotations![appliedHashAnnotation]!
    const applied = this.#applied.get(key)
    if (applied?.hash === hash) {
      if (applied.version === seen) {
        applied.trustUntilMs = 0
        return false
      }
      // Deleted since, if that was nothing: the store has shown it, or has had its time to.
      if (applied.basedOn === seen && Date.now() < applied.trustUntilMs) return false
    }
    const before = this.#refusals.get(key)
    const refused = before?.hash === hash && before.basedOn === seen ? before : undefined
    if (refused && Date.now() < refused.untilMs) throw refused.cause
    // The store filters some kinds, and lags: an object without our mark may be there all the same.
    live ??= await client.get(path, signal).catch((cause: unknown) => {
      if (isStatus(cause, 404)) return undefined
      throw cause
    })
    if (live !== undefined && !isOurs(live)) {
      if (unlessForeign === true) return this.#leave(live)
      const sentence = `${object.kind} ${namespace}/${name} exists, was not made by this controller and is left alone; delete or rename it, or rename the Gateway`
      if (!this.#blocked.has(key)) log.warn('an object of this name is in the way', { object: key, hint: sentence })
      blocked.set(key, { kind: 'foreign', message: sentence })
      return false
    }
    if (live?.metadata.deletionTimestamp !== undefined) return false
    if (live?.metadata.annotations?.[appliedHashAnnotation] === hash && contains(live, marked)) return false
    const answer = await client.apply(path, marked, fieldManager).catch((cause: unknown) => {
      const times = (refused?.times ?? 0) + 1
      if (isRefusal(cause))
        this.#refusals.set(key, { hash, basedOn: seen, cause, times, untilMs: Date.now() + pauseMs(times) })
      throw cause
    })
    this.#refusals.delete(key)
    const version = answer.metadata.resourceVersion ?? ''
    this.#applied.set(key, { hash, basedOn: seen, version, trustUntilMs: Date.now() + lagMs })
    if (version === live?.metadata.resourceVersion) return false
    log.info(live === undefined ? 'made an object' : 'changed an object', { object: key })
    return true
  }

  /** Somebody else's object of a name that we would take: said once. */
  #leave(object: KubeObject): boolean {
    const key = keyOf(object)
    if (this.#left.has(key)) return false
    this.#left.add(key)
    const { controllerName } = (object['spec'] ?? {}) as { readonly controllerName?: string }
    this.#options.log.info('an object of this name is somebody else’s and is left alone', {
      object: key,
      controller: controllerName,
    })
    return false
  }

  async #delete(object: KubeObject, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted || !isOurs(object) || object.metadata.deletionTimestamp !== undefined) return false
    await this.#throwIfOwned(object, signal)
    const { name, namespace, uid } = object.metadata
    const body = { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy: 'Background', preconditions: { uid } }
    this.#applied.delete(keyOf(object))
    try {
      await this.#options.client.request('DELETE', resourcePath(kindOrThrow(object), namespace, name), { body, signal })
    } catch (cause) {
      // Gone, or another object of the same name by now.
      if (isStatus(cause, 404) || isStatus(cause, 409)) return false
      throw cause
    }
    this.#options.log.info('deleted an object that nothing wants any more', { object: keyOf(object) })
    return true
  }

  /**
   * Nobody wants what belongs to a Gateway that the store does not know. Each kind has a watch of its own, and one may stall
   * where the others go on: before a proxy that serves is taken away, the API is asked about its Gateway.
   */
  async #throwIfOwned(
    { metadata: { namespace, ownerReferences = [] } }: KubeObject,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, store } = this.#options
    for (const { kind, name, uid } of ownerReferences) {
      if (kind !== 'Gateway' || store.get('gateways', namespace, name)?.metadata.uid === uid) continue
      const owner = await client
        .get(resourcePath(watchedKinds.gateways, namespace, name), signal)
        .catch((cause: unknown) => {
          if (isStatus(cause, 404)) return undefined
          throw cause
        })
      if (owner?.metadata.uid === uid && owner.metadata.deletionTimestamp === undefined)
        throw new Error(`its Gateway ${namespace}/${name} is there, but the watch of Gateways has not told of it yet`)
    }
  }

  /** `blocked`: gets the API's words if it does not accept the object. */
  async #guard(
    key: string,
    result: { written: number; failed: number },
    act: () => Promise<boolean>,
    blocked?: Map<string, Obstacle>,
  ): Promise<void> {
    try {
      if (await act()) result.written++
      this.#complaints.delete(key)
    } catch (cause) {
      result.failed++
      const reason = messageOf(cause)
      // Anything else says nothing about what was in the way before.
      const before = this.#blocked.get(key)
      if (isRefusal(cause)) blocked?.set(key, { kind: 'refused', message: wordsOf(cause) })
      else if (before !== undefined) blocked?.set(key, before)
      if (this.#complaints.get(key) === reason) return
      this.#complaints.set(key, reason)
      this.#options.log.warn('cannot write an object; it is tried again', { object: key, reason })
    }
  }
}

/** The API server's own, on one line: it gives each fault of a patch a line of its own. */
function wordsOf({ detail, message }: KubeError): string {
  return (detail || message).replace(/\s+/g, ' ').trim()
}

/** Not an outage: the same object would be refused again. */
function isRefusal(cause: unknown): cause is KubeError {
  if ([400, 403, 422].some((status) => isStatus(cause, status))) return true
  // What server-side apply answers for a field that the kind does not have.
  return isStatus(cause, 500) && cause.message.includes('typed patch object')
}

function keyOf(object: {
  readonly kind: string
  readonly metadata: { readonly namespace?: string; readonly name: string }
}): string {
  return `${object.kind}/${object.metadata.namespace ?? ''}/${object.metadata.name}`
}

/** Key of the account of a Deployment's pods; of nothing for other kinds. */
function accountKeyOf(object: Apply['object']): string {
  const { template } = (object['spec'] ?? {}) as { readonly template?: { readonly spec?: Record<string, unknown> } }
  return `ServiceAccount/${object.metadata.namespace ?? ''}/${String(template?.spec?.['serviceAccountName'] ?? '')}`
}

function isOurs(object: KubeObject): boolean {
  return object.metadata.labels?.[managedByLabel] === managedByValue
}

function kindOrThrow({ apiVersion, kind }: { readonly apiVersion: string; readonly kind: string }): ResourceKind {
  const found = kindOf(apiVersion, kind)
  if (found === undefined) throw new Error(`no way to write a ${apiVersion} ${kind}`)
  return found
}

/** The object with our label, and the hash of what was wanted. */
function mark(object: Apply['object']): KubeObject {
  const { metadata } = object
  return {
    ...object,
    metadata: {
      ...metadata,
      labels: { ...metadata.labels, [managedByLabel]: managedByValue },
      annotations: { ...metadata.annotations, [appliedHashAnnotation]: stableHash(object) },
    },
  }
}
