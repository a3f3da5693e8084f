// Subresources that are neither the object's status nor a stream: scale, eviction, binding, finalize.
import type { Api } from '../objects/api.ts'
import { badRequest, noSuchPath } from '../objects/errors.ts'
import { fields, isMap, type JsonMap, type KubeObject, mapAt } from '../objects/object.ts'
import type { PatchKind, WriteOptions } from '../objects/options.ts'
import { applyJsonPatch, applyMergePatch } from '../objects/patch.ts'
import type { Resource } from '../objects/resources.ts'
import { atVersion } from '../objects/rules.ts'

export interface SubresourceRequest {
  readonly method: string
  readonly resource: Resource
  readonly namespace: string | undefined
  readonly name: string
  readonly body: unknown
  readonly patchKind: PatchKind | undefined
  readonly options: WriteOptions
}

/** autoscaling/v1 Scale of a workload. */
export function scaleOf(object: KubeObject): JsonMap {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata
  const spec = mapAt(fields(object), 'spec') ?? {}
  const labels = mapAt(spec, 'selector', 'matchLabels') ?? {}
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: spec.replicas ?? 0 },
    status: {
      replicas: mapAt(fields(object), 'status')?.replicas ?? 0,
      selector: Object.entries(labels)
        .map(([key, value]) => `${key}=${String(value)}`)
        .join(','),
    },
  }
}

export function answerScale(api: Api, request: SubresourceRequest): JsonMap {
  const { resource, namespace, name, method, options } = request
  const object = api.get(resource, namespace, name)
  if (method === 'GET') return scaleOf(object)
  let scale: unknown = request.body
  if (method === 'PATCH') {
    const current = scaleOf(object)
    scale =
      request.patchKind === 'json' ? applyJsonPatch(current, request.body) : applyMergePatch(current, request.body)
  }
  const replicas = mapAt(scale, 'spec')?.replicas ?? 0
  if (!Number.isInteger(replicas) || Number(replicas) < 0)
    throw badRequest(`spec.replicas must be a whole number of 0 or more, not ${String(replicas)}`)
  const given = isMap(scale) ? mapAt(scale, 'metadata')?.resourceVersion : undefined
  const patch = {
    ...(method === 'PUT' && given !== undefined ? { metadata: { resourceVersion: given } } : {}),
    spec: { replicas },
  }
  const { subresource: _subresource, ...plain } = options
  return scaleOf(api.patch(resource, namespace, name, patch, 'merge', plain))
}

/** POST pods/NAME/eviction and pods/NAME/binding, PUT namespaces/NAME/finalize. */
export function answerAction(api: Api, subresource: string, request: SubresourceRequest): JsonMap {
  const { resource, namespace, name, body, method } = request
  const success = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }
  if (resource.key === '/pods' && subresource === 'eviction' && method === 'POST') {
    const grace = mapAt(body, 'deleteOptions')?.gracePeriodSeconds
    api.delete(resource, namespace, name, typeof grace === 'number' ? { gracePeriodSeconds: grace } : {})
    return success
  }
  if (resource.key === '/pods' && subresource === 'binding' && method === 'POST') {
    const nodeName = mapAt(body, 'target')?.name
    if (typeof nodeName !== 'string') throw badRequest('target.name is required')
    api.patch(resource, namespace, name, { spec: { nodeName } }, 'merge')
    return success
  }
  if (resource.key === '/namespaces' && subresource === 'finalize' && method === 'PUT') {
    return fields(atVersion(api.get(resource, undefined, name), resource))
  }
  throw noSuchPath()
}
