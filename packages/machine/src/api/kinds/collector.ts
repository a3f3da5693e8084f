// Removes what belongs to nothing any more: objects whose owners are all gone, and the contents of namespaces being deleted.
import type { Api } from '../objects/api.ts'
import { type KubeObject, keyOf } from '../objects/object.ts'

const namespacesKey = '/namespaces'

interface Place {
  readonly key: string
  readonly namespace: string | undefined
  readonly name: string
  readonly uid: string
}

/** An owner may be created right after its dependents are seen (restored manifests): wait before judging. */
const orphanPatienceMs = 500

export function startCollector(api: Api, log: (line: string) => void): () => void {
  const live = new Set<string>()
  const dependents = new Map<string, Map<string, Place>>()
  const timers = new Set<NodeJS.Timeout>()

  const later = (work: () => void, ms: number): void => {
    const timer = setTimeout(() => {
      timers.delete(timer)
      work()
    }, ms)
    timer.unref()
    timers.add(timer)
  }
  const index = (key: string, object: KubeObject, present: boolean): void => {
    const { namespace, name, uid = '' } = object.metadata
    for (const owner of object.metadata.ownerReferences ?? []) {
      const places = dependents.get(owner.uid) ?? new Map<string, Place>()
      if (present) {
        places.set(uid, { key, namespace, name, uid })
        dependents.set(owner.uid, places)
      } else {
        places.delete(uid)
        if (places.size === 0) dependents.delete(owner.uid)
      }
    }
  }
  const judge = (place: Place): void => {
    const object = api.store.get(place.key, place.namespace, place.name)
    const owners = object?.metadata.ownerReferences
    if (object === undefined || object.metadata.uid !== place.uid || owners === undefined || owners.length === 0) return
    if (owners.some((owner) => live.has(owner.uid))) return
    remove(place.key, object)
  }
  const remove = (key: string, object: KubeObject): void => {
    const resource = api.resources.byKey(key)
    if (resource === undefined) return
    try {
      api.delete(resource, object.metadata.namespace, object.metadata.name)
    } catch (cause) {
      log(`collector: ${key} ${keyOf(object)}: ${(cause as Error).message}`)
    }
  }
  const emptyNamespace = (namespace: KubeObject): void => {
    const name = namespace.metadata.name
    if (api.store.get(namespacesKey, undefined, name)?.metadata.uid !== namespace.metadata.uid) return
    let left = 0
    for (const key of api.store.keys()) {
      if (api.resources.byKey(key)?.namespaced !== true) continue
      for (const object of api.store.list(key, name)) {
        if (object.metadata.deletionTimestamp === undefined) remove(key, object)
        if (api.store.get(key, name, object.metadata.name) !== undefined) left++
      }
    }
    if (left === 0) api.store.remove(namespacesKey, undefined, name)
  }
  const terminating = new Map<string, KubeObject>()

  return combine(
    api.watch('*', ({ type, key, object, previous }) => {
      const uid = object.metadata.uid ?? ''
      if (previous !== undefined && previous.metadata.ownerReferences !== object.metadata.ownerReferences)
        index(key, previous, false)
      if (type === 'DELETED') {
        live.delete(uid)
        index(key, object, false)
        const orphans = [...(dependents.get(uid)?.values() ?? [])]
        if (orphans.length > 0) later(() => orphans.forEach(judge), 0)
        const namespace = terminating.get(object.metadata.namespace ?? '')
        if (namespace !== undefined) later(() => emptyNamespace(namespace), 0)
        if (key === namespacesKey) terminating.delete(object.metadata.name)
        return
      }
      live.add(uid)
      index(key, object, true)
      const owners = object.metadata.ownerReferences ?? []
      if (owners.length > 0 && !owners.some((owner) => live.has(owner.uid)))
        later(
          () => judge({ key, namespace: object.metadata.namespace, name: object.metadata.name, uid }),
          orphanPatienceMs,
        )
      if (
        key === namespacesKey &&
        object.metadata.deletionTimestamp !== undefined &&
        !terminating.has(object.metadata.name)
      ) {
        terminating.set(object.metadata.name, object)
        later(() => emptyNamespace(object), 0)
      }
    }),
    () => {
      for (const timer of timers) clearTimeout(timer)
    },
  )
}

function combine(...parts: readonly (() => void)[]): () => void {
  return () => {
    for (const part of parts) part()
  }
}
