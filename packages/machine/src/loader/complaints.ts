// What the controller found wrong with objects of the folder, told with their file and line. The API server took them; their
// statuses say that something they name is missing or broken, or, where a kind has no status for that, an Event does.
import type { KubeObject } from '@wishbone/runtime/kube'
import { describe, type Loaded } from '@wishbone/runtime/manifests'
import type { ApiClient } from '../client/api.ts'

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason?: string
  readonly message?: string
}

interface Reference {
  readonly kind?: string
  readonly namespace?: string
  readonly name: string
}

/** An Event about an object, as the controller writes it. */
interface EventObject extends KubeObject {
  readonly involvedObject: {
    readonly apiVersion: string
    readonly kind: string
    readonly namespace?: string
    readonly name: string
  }
  readonly reason: string
  readonly message: string
  readonly lastTimestamp?: string
  readonly source?: { readonly component?: string }
}

interface Watched {
  readonly spec?: { readonly parentRefs?: readonly Reference[]; readonly gatewayClassName?: string }
  readonly status?: {
    readonly conditions?: readonly Condition[]
    readonly parents?: readonly { readonly conditions?: readonly Condition[]; readonly parentRef?: Reference }[]
    /** Of policies: the Gateways that they are in force on. */
    readonly ancestors?: readonly { readonly conditions?: readonly Condition[] }[]
    readonly listeners?: readonly { readonly name: string; readonly conditions?: readonly Condition[] }[]
  }
}

// These are false for good while all is well, or pass by themselves.
const passing = new Set([
  'Pending',
  'AddressNotAssigned',
  'WaypointStarting',
  'NoConflicts',
  'WaypointIsNotReady',
  'WaitingForWaypoint',
  'OptedOut',
])

function saidBy(conditions: readonly Condition[] | undefined, of: string): readonly string[] {
  return (conditions ?? [])
    .filter(
      ({ type, status, reason = '' }) =>
        (type === 'Conflicted' ? status === 'True' : status === 'False') && !passing.has(reason),
    )
    .map(
      ({ type, status, reason, message }) =>
        `${of}${message || `condition ${type} is ${status}`}${reason ? ` (${type}: ${reason})` : ''}`,
    )
}

/** What an object's status complains of, each a sentence. A route that nobody looks at names its parents. Pure. */
export function complaintsOf(object: KubeObject): readonly string[] {
  const { spec, status } = object as unknown as Watched
  // What its namespace asks for is told of the namespace, once.
  if (isService(object) && object.metadata.labels?.['istio.io/use-waypoint'] === undefined) return []
  const said = [
    ...saidBy(status?.conditions, ''),
    ...[...(status?.parents ?? []), ...(status?.ancestors ?? [])].flatMap(({ conditions }) => saidBy(conditions, '')),
    ...(status?.listeners ?? []).flatMap(({ name, conditions }) => saidBy(conditions, `listener ${name}: `)),
  ]
  // The API's default, which a controller of the class would have replaced.
  if (object.kind === 'Gateway' && status?.conditions?.every(({ status: known }) => known === 'Unknown'))
    said.push(`nothing serves its class ${spec?.gatewayClassName}; use wishbone, or wishbone-waypoint for a waypoint`)
  const seen = (status?.parents ?? []).map(({ parentRef }) => parentRef?.name)
  for (const { kind = 'Gateway', namespace = object.metadata.namespace, name } of spec?.parentRefs ?? []) {
    if (seen.includes(name)) continue
    said.push(
      `nothing serves its parent ${kind} ${namespace}/${name}; check that it exists and is of a class of Wishbone`,
    )
  }
  // Several conditions often say the same.
  return [...new Map(said.map((text) => [text.replace(/ \([^()]*\)$/, ''), text])).values()]
}

const watchedGroups = /^(gateway\.networking\.k8s\.io|security\.istio\.io|wishbone\.dev)\//
const isService = ({ apiVersion, kind }: Pick<KubeObject, 'apiVersion' | 'kind'>): boolean =>
  apiVersion === 'v1' && kind === 'Service'
/** Kinds whose status says what is wrong with them. */
const hasStatus = (one: Pick<KubeObject, 'apiVersion' | 'kind'>): boolean =>
  watchedGroups.test(one.apiVersion) || isService(one)

/** A folder's objects need not name the default namespace. */
const placeKey = ({ kind, metadata }: KubeObject): string =>
  `${kind} ${metadata.namespace || 'default'}/${metadata.name}`

export interface ComplaintsOptions {
  readonly client: ApiClient
  readonly pathOf: (object: KubeObject) => Promise<string>
  readonly warn: (loaded: Loaded, message: string) => void
  /** Of an object that is not in the folder: a pod of its Deployment, say. */
  readonly warnOf: (object: string, message: string) => void
}

/** Looks at the objects again and again; says each complaint once it has stood for two looks, and again only after it was gone. */
export class Complaints {
  readonly #options: ComplaintsOptions
  #objects: readonly Loaded[] = []
  #others = new Map<string, Loaded>()
  #toldEvents: ReadonlySet<string> = new Set()
  #standing = new Map<string, { looks: number; readonly loaded: Loaded; readonly message: string }>()

  constructor(options: ComplaintsOptions) {
    this.#options = options
  }

  /** The objects to look at from now on. */
  follow(objects: Iterable<Loaded>): void {
    const all = [...objects]
    this.#objects = all.filter(({ object }) => hasStatus(object))
    this.#others = new Map(all.map((loaded) => [placeKey(loaded.object), loaded]))
  }

  async look(): Promise<void> {
    const now = new Map<string, { looks: number; readonly loaded: Loaded; readonly message: string }>()
    for (const loaded of this.#objects) {
      try {
        const live = await this.#options.client.kube.get(await this.#options.pathOf(loaded.object))
        for (const message of complaintsOf(live)) {
          const key = `${describe(loaded.object)} ${message}`
          const looks = (this.#standing.get(key)?.looks ?? 0) + 1
          now.set(key, { looks, loaded, message })
          if (looks === 2) this.#options.warn(loaded, message)
        }
      } catch {
        // Deleted meanwhile, or the server is busy: the next look tells.
      }
    }
    this.#standing = now
    await this.#lookAtEvents()
  }

  /** The controller writes an Event only of what has lasted, and again after it was gone. */
  async #lookAtEvents(): Promise<void> {
    const { client, warn, warnOf } = this.#options
    const { items } = await client.kube
      .get<{ readonly items: readonly EventObject[] }>('/api/v1/events')
      .catch(() => ({ items: [] }))
    const told = new Set<string>()
    for (const { metadata, involvedObject, reason, message, lastTimestamp, source } of items) {
      if (source?.component !== 'wishbone-controller' || hasStatus(involvedObject)) continue
      const key = `${metadata.uid ?? metadata.name} ${lastTimestamp ?? ''}`
      told.add(key)
      if (this.#toldEvents.has(key)) continue
      const object = { ...involvedObject, metadata: involvedObject }
      const loaded = this.#others.get(placeKey(object))
      const text = `${message} (${reason})`
      if (loaded === undefined) warnOf(describe(object), text)
      else warn(loaded, text)
    }
    this.#toldEvents = told
  }

  /** Every `periodMs` until the signal. */
  start(periodMs: number, signal: AbortSignal): void {
    let busy = false
    const timer = setInterval(() => {
      if (busy) return
      busy = true
      void this.look().finally(() => {
        busy = false
      })
    }, periodMs)
    signal.addEventListener('abort', () => clearInterval(timer), { once: true })
  }
}
