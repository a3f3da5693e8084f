// The rules of the API over the store: create, update, patch, apply, delete. Synchronous, used both by the HTTP server and by
// the controllers inside the machine. Knows nothing of HTTP, users or single kinds (those are admission plugins).
import { randomUUID } from 'node:crypto'
import { alreadyExists, badRequest, conflict, forbidden, invalid, notFound } from './errors.ts'
import { ownAfterUpdate, schemaForOwnership, serverSideApply } from './managed-fields.ts'
import {
  clone,
  equalJson,
  fields,
  isMap,
  type JsonMap,
  type KubeObject,
  type ObjectMeta,
  randomSuffix,
  timestamp,
} from './object.ts'
import type { DeleteOptions, PatchKind, WriteOptions } from './options.ts'
import { applyJsonPatch, applyMergePatch, applyStrategicPatch } from './patch.ts'
import { apiVersionOf, type Resource, ResourceTable } from './resources.ts'
import { asObject, atVersion, changesSpec, checkName, dropNulls, keptMetadata, reportUnknown } from './rules.ts'
import { applyDefaults, prune, validate, validatePart } from './schema.ts'
import { Store, type StoreListener } from './store.ts'

/** Rules of one kind. `object` may be changed in place; `before` is undefined on creation. */
export type Admission = (object: JsonMap, before: KubeObject | undefined, options: WriteOptions) => void

/** Says whether a deletion is only marked (true) and finished later by `finishDeletion`. */
export type DeletionRule = (object: KubeObject, options: DeleteOptions) => { readonly graceSeconds: number } | 'now'

export class Api {
  readonly store: Store
  readonly resources = new ResourceTable()
  readonly #admissions = new Map<string, Admission[]>()
  readonly #deletions = new Map<string, DeletionRule>()

  constructor(store: Store = new Store()) {
    this.store = store
  }

  admit(key: string, admission: Admission): void {
    this.#admissions.set(key, [...(this.#admissions.get(key) ?? []), admission])
  }

  onDeletion(key: string, rule: DeletionRule): void {
    this.#deletions.set(key, rule)
  }

  /** The resource of a storage key; throws when there is none. */
  resource(key: string): Resource {
    const resource = this.resources.byKey(key)
    if (resource === undefined) throw new Error(`no kind is stored under ${key}`)
    return resource
  }

  find<T extends KubeObject>(key: string, namespace: string | undefined, name: string): T | undefined {
    return this.store.get(key, namespace, name) as T | undefined
  }

  list<T extends KubeObject>(key: string, namespace?: string): readonly T[] {
    return this.store.list(key, namespace) as readonly T[]
  }

  watch(key: string, listener: StoreListener): () => void {
    return this.store.onChange(key, listener)
  }

  get(resource: Resource, namespace: string | undefined, name: string): KubeObject {
    const object = this.store.get(resource.key, namespace, name)
    if (object === undefined) throw notFound(resource, name)
    return atVersion(object, resource)
  }

  create(resource: Resource, namespace: string | undefined, input: unknown, options: WriteOptions = {}): KubeObject {
    const object = this.#decode(resource, namespace, input, options)
    const metadata = object.metadata as { -readonly [K in keyof ObjectMeta]: ObjectMeta[K] }
    if (metadata.name === undefined || metadata.name === '') {
      if (metadata.generateName === undefined) {
        throw invalid(resource.group, resource.kind, '', [
          {
            reason: 'FieldValueRequired',
            message: 'Required value: name or generateName is required',
            field: 'metadata.name',
          },
        ])
      }
      metadata.name = metadata.generateName + randomSuffix()
    }
    checkName(resource, metadata)
    this.#checkNamespace(resource, namespace)
    if (this.store.get(resource.key, namespace, metadata.name) !== undefined)
      throw alreadyExists(resource, metadata.name)
    if (metadata.resourceVersion !== undefined && metadata.resourceVersion !== '')
      throw badRequest('resourceVersion should not be set on objects to be created')
    for (const field of ['resourceVersion', 'deletionTimestamp', 'deletionGracePeriodSeconds', 'selfLink'] as const)
      delete (metadata as JsonMap)[field]
    metadata.uid = randomUUID()
    metadata.creationTimestamp = timestamp()
    if (resource.status && resource.custom) delete object.status
    metadata.generation = 1
    this.#finishWrite(resource, object, undefined, options)
    if (options.fieldManager !== undefined && metadata.managedFields === undefined) {
      metadata.managedFields = ownAfterUpdate(
        undefined,
        asObject(resource.status ? { ...object, status: undefined } : object),
        { name: options.fieldManager },
        schemaForOwnership(resource),
      )
    }
    return this.#commit(resource, asObject(object), options)
  }

  update(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    input: unknown,
    options: WriteOptions = {},
  ): KubeObject {
    const before = this.store.get(resource.key, namespace, name)
    if (before === undefined) throw notFound(resource, name)
    const object = this.#decode(resource, namespace, input, options)
    const given = object.metadata as ObjectMeta
    if (given.name !== undefined && given.name !== name)
      throw badRequest(`the name of the object (${given.name}) does not match the name on the URL (${name})`)
    return this.#replace(resource, before, object, options)
  }

  patch(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    patch: unknown,
    kind: PatchKind,
    options: WriteOptions = {},
  ): KubeObject {
    if (kind === 'apply') return this.#apply(resource, namespace, name, patch, options)
    const before = this.store.get(resource.key, namespace, name)
    if (before === undefined) throw notFound(resource, name)
    if (kind === 'strategic' && resource.custom) {
      throw badRequest(
        'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
      )
    }
    const from = atVersion(before, resource)
    const target: JsonMap = { ...fields(from), metadata: { ...from.metadata, managedFields: undefined } }
    const result =
      kind === 'json'
        ? applyJsonPatch(target, patch)
        : kind === 'merge'
          ? applyMergePatch(target, patch)
          : applyStrategicPatch(target, patch, resource.schema)
    const object = this.#decode(resource, namespace, result, options)
    const patched = isMap(patch) && isMap(patch.metadata) ? patch.metadata.resourceVersion : undefined
    if (kind !== 'json' && patched === undefined) delete (object.metadata as JsonMap).resourceVersion
    return this.#replace(resource, before, object, options)
  }

  delete(resource: Resource, namespace: string | undefined, name: string, options: DeleteOptions = {}): KubeObject {
    const object = this.store.get(resource.key, namespace, name)
    if (object === undefined) throw notFound(resource, name)
    const { uid, resourceVersion } = options.preconditions ?? {}
    if (uid !== undefined && uid !== object.metadata.uid)
      throw conflict(
        resource,
        name,
        `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${object.metadata.uid}`,
      )
    if (resourceVersion !== undefined && resourceVersion !== object.metadata.resourceVersion)
      throw conflict(resource, name, 'Precondition failed: resourceVersion differs')
    if (options.dryRun === true) return object
    if (options.propagationPolicy === 'Orphan') this.#orphan(object)
    const rule = this.#deletions.get(resource.key)?.(object, options) ?? 'now'
    const held = (object.metadata.finalizers?.length ?? 0) > 0
    if (rule === 'now' && !held) return this.store.remove(resource.key, namespace, name)!
    const graceSeconds = rule === 'now' ? 0 : rule.graceSeconds
    const deadline = timestamp(Date.now() + graceSeconds * 1000)
    const { deletionTimestamp, deletionGracePeriodSeconds } = object.metadata
    if (deletionTimestamp !== undefined && (deletionGracePeriodSeconds ?? 0) <= graceSeconds) return object
    return this.store.put(resource.key, {
      ...object,
      metadata: { ...object.metadata, deletionTimestamp: deadline, deletionGracePeriodSeconds: graceSeconds },
    })
  }

  /** Removes an object whose deletion was marked, once its finalizers are gone. */
  finishDeletion(resource: Resource, object: KubeObject): void {
    const current = this.store.get(resource.key, object.metadata.namespace, object.metadata.name)
    if (current === undefined || current.metadata.uid !== object.metadata.uid) return
    if ((current.metadata.finalizers?.length ?? 0) > 0) return
    this.store.remove(resource.key, object.metadata.namespace, object.metadata.name)
  }

  /** Merges into an object's status from inside the machine; nothing happens when the object is gone or equal. */
  setStatus(key: string, object: KubeObject, status: JsonMap): void {
    const current = this.store.get(key, object.metadata.namespace, object.metadata.name)
    if (current === undefined || current.metadata.uid !== object.metadata.uid) return
    const merged = { ...(fields(current).status as JsonMap | undefined), ...status }
    if (equalJson(fields(current).status, merged)) return
    this.store.put(key, { ...current, status: clone(merged) } as KubeObject)
  }

  #apply(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    patch: unknown,
    options: WriteOptions,
  ): KubeObject {
    if (options.fieldManager === undefined)
      throw badRequest(
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
      )
    const config = this.#decode(resource, namespace, patch, options, true)
    const given = config.metadata as ObjectMeta
    if (given.managedFields !== undefined) throw badRequest('metadata.managedFields must be nil')
    if (given.name !== undefined && given.name !== name) throw badRequest(`metadata.name should be ${name}`)
    const before = this.store.get(resource.key, namespace, name)
    const live = before === undefined ? undefined : atVersion(before, resource)
    const manager = {
      name: options.fieldManager,
      ...(options.subresource === undefined ? {} : { subresource: options.subresource }),
    }
    if (given.resourceVersion !== undefined && before === undefined)
      throw conflict(resource, name, 'the object does not exist, but resourceVersion is set')
    const applied = serverSideApply(live, config, { manager, force: options.force === true, resource })
    const metadata = { ...(applied.object.metadata as JsonMap), name, managedFields: applied.managedFields }
    const object: JsonMap = { ...clone(applied.object), metadata: clone(metadata) }
    if (before === undefined) {
      if (options.subresource !== undefined && options.subresource !== '') throw notFound(resource, name)
      return this.create(resource, namespace, object, { ...options, fieldValidation: 'Ignore' })
    }
    if (given.resourceVersion === undefined) delete (object.metadata as JsonMap).resourceVersion
    const causes = validate(object, resource.schema)
    if (causes.length > 0) throw invalid(resource.group, resource.kind, name, causes)
    return this.#replace(resource, before, object, options, true)
  }

  /** Structure: right kind, known fields, right types, defaults. Returns a copy that may be changed. */
  #decode(
    resource: Resource,
    namespace: string | undefined,
    input: unknown,
    options: WriteOptions,
    partial = false,
  ): JsonMap {
    if (!isMap(input)) throw badRequest('the body of the request must be an object')
    const object = clone(input)
    const apiVersion = apiVersionOf(resource)
    object.apiVersion ??= apiVersion
    object.kind ??= resource.kind
    if (object.kind !== resource.kind || object.apiVersion !== apiVersion) {
      throw badRequest(
        `the object provided is a ${String(object.apiVersion)} ${String(object.kind)}, but the path is of a ${apiVersion} ${resource.kind}`,
      )
    }
    if (!isMap(object.metadata)) object.metadata = {}
    const metadata = object.metadata as JsonMap
    const given = metadata.namespace
    if (resource.namespaced) {
      if (given !== undefined && given !== '' && given !== namespace)
        throw badRequest(
          `the namespace of the provided object does not match the namespace sent on the request (${String(given)}, ${namespace ?? 'none'})`,
        )
      metadata.namespace = namespace
    } else delete metadata.namespace
    dropNulls(object, resource.custom)
    const unknown = prune(object, resource.schema)
    if (unknown.length > 0) reportUnknown(resource, unknown, options)
    const causes = (partial ? validatePart : validate)(object, resource.schema)
    if (causes.length > 0) throw invalid(resource.group, resource.kind, String(metadata.name ?? ''), causes)
    return object
  }

  #replace(resource: Resource, before: KubeObject, object: JsonMap, options: WriteOptions, owned = false): KubeObject {
    const given = object.metadata as JsonMap
    if (
      given.resourceVersion !== undefined &&
      given.resourceVersion !== '' &&
      given.resourceVersion !== before.metadata.resourceVersion
    )
      throw conflict(
        resource,
        before.metadata.name,
        'the object has been modified; please apply your changes to the latest version and try again',
      )
    if (given.uid !== undefined && given.uid !== before.metadata.uid)
      throw conflict(
        resource,
        before.metadata.name,
        `Precondition failed: UID in precondition: ${String(given.uid)}, UID in object meta: ${before.metadata.uid}`,
      )
    const old = fields(atVersion(before, resource))
    let next: JsonMap
    if (options.subresource === 'status') next = { ...clone(old), status: object.status, metadata: { ...given } }
    else if (resource.status) next = { ...object, ...(old.status === undefined ? {} : { status: clone(old.status) }) }
    else next = object
    if (next.status === undefined) delete next.status
    const onlyStatus = options.subresource === 'status' && resource.custom
    next.metadata = keptMetadata(before.metadata, onlyStatus ? { ...before.metadata } : given)
    if (options.subresource !== 'status') this.#finishWrite(resource, next, before, options)
    const metadata = next.metadata as { -readonly [K in keyof ObjectMeta]: ObjectMeta[K] }
    if (changesSpec(old, next)) metadata.generation = (before.metadata.generation ?? 1) + 1
    if (owned) metadata.managedFields = given.managedFields as ObjectMeta['managedFields'] & {}
    else if (options.fieldManager !== undefined) {
      const manager = {
        name: options.fieldManager,
        ...(options.subresource === undefined ? {} : { subresource: options.subresource }),
      }
      metadata.managedFields = ownAfterUpdate(
        atVersion(before, resource),
        asObject(next),
        manager,
        schemaForOwnership(resource),
      )
    } else if (before.metadata.managedFields !== undefined) metadata.managedFields = before.metadata.managedFields
    if (equalJson(next, old)) return atVersion(before, resource)
    if (options.dryRun !== true && mayGoNow(resource, metadata)) {
      this.store.put(resource.key, asObject(next))
      return this.store.remove(resource.key, before.metadata.namespace, before.metadata.name)!
    }
    return this.#commit(resource, asObject(next), options)
  }

  #finishWrite(resource: Resource, object: JsonMap, before: KubeObject | undefined, options: WriteOptions): void {
    applyDefaults(object, resource.schema)
    for (const admission of this.#admissions.get(resource.key) ?? []) admission(object, before, options)
  }

  #commit(resource: Resource, object: KubeObject, options: WriteOptions): KubeObject {
    return atVersion(options.dryRun === true ? object : this.store.put(resource.key, object), resource)
  }

  #checkNamespace(resource: Resource, namespace: string | undefined): void {
    if (!resource.namespaced) return
    const found = namespace === undefined ? undefined : this.store.get('/namespaces', undefined, namespace)
    if (found === undefined) throw notFound({ group: '', plural: 'namespaces' }, namespace ?? '')
    if (found.metadata.deletionTimestamp !== undefined)
      throw forbidden(`unable to create new content in namespace ${namespace} because it is being terminated`)
  }

  #orphan(owner: KubeObject): void {
    for (const key of this.store.keys()) {
      for (const object of this.store.list(key, owner.metadata.namespace)) {
        const owners = object.metadata.ownerReferences
        if (owners?.some((reference) => reference.uid === owner.metadata.uid) !== true) continue
        const left = owners.filter((reference) => reference.uid !== owner.metadata.uid)
        this.store.put(key, { ...object, metadata: { ...object.metadata, ownerReferences: left } })
      }
    }
  }
}

/** Whether an object marked for deletion waits for nothing any more: no finalizer, no kubelet, no namespace contents. */
function mayGoNow(resource: Resource, metadata: ObjectMeta): boolean {
  if (metadata.deletionTimestamp === undefined || (metadata.finalizers?.length ?? 0) > 0) return false
  if (resource.key === '/namespaces') return false
  return resource.key !== '/pods' || (metadata.deletionGracePeriodSeconds ?? 0) === 0
}
