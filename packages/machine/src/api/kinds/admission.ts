// The rules of single built-in kinds: defaults, checks, what may not change, and how they are deleted.
import { randomUUID } from 'node:crypto'
import type { Admission, Api, DeletionRule } from '../objects/api.ts'
import { forbidden, invalid } from '../objects/errors.ts'
import { equalJson, isMap, type JsonMap, type KubeObject, listAt } from '../objects/object.ts'
import { selectsLabels } from '../objects/selectors.ts'
import { checkPodUpdate, defaultPod, defaultPodSpec } from './pod-defaults.ts'

function forbiddenChange(group: string, object: JsonMap, field: string, message = 'field is immutable'): never {
  throw invalid(group, String(object.kind), String((object.metadata as JsonMap).name), [
    { reason: 'FieldValueInvalid', message: `Invalid value: ${message}`, field },
  ])
}

const specOf = (object: JsonMap | KubeObject): JsonMap => {
  const holder = object as JsonMap
  if (!isMap(holder.spec)) holder.spec = {}
  return holder.spec as JsonMap
}

const oldSpec = (before: KubeObject | undefined): JsonMap =>
  ((before as unknown as JsonMap | undefined)?.spec ?? {}) as JsonMap

const namespaces: Admission = (object, before) => {
  const metadata = object.metadata as JsonMap
  metadata.labels = { ...(metadata.labels as JsonMap | undefined), 'kubernetes.io/metadata.name': metadata.name }
  object.spec = { finalizers: ['kubernetes'] }
  if (before === undefined) object.status = { phase: 'Active' }
}

const pods: Admission = (object, before) => {
  if (before === undefined) defaultPod(object)
  else {
    defaultPodSpec(specOf(object))
    checkPodUpdate(object, before)
  }
}

const services: Admission = (object, before) => {
  const spec = specOf(object)
  const old = oldSpec(before)
  spec.type ??= 'ClusterIP'
  spec.sessionAffinity ??= 'None'
  if (spec.type !== 'ExternalName') {
    spec.internalTrafficPolicy ??= 'Cluster'
    for (const field of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy']) {
      // A client that leaves them out keeps them; an empty address asks for one.
      if ((spec[field] === undefined || spec[field] === '') && old[field] !== undefined) spec[field] = old[field]
    }
    if (spec.clusterIP === '') delete spec.clusterIP
    if (old.clusterIP !== undefined && spec.clusterIP !== old.clusterIP && old.type !== 'ExternalName')
      forbiddenChange('', object, 'spec.clusterIP', `"${String(spec.clusterIP)}": field is immutable`)
    if (spec.clusterIP !== undefined && spec.clusterIPs === undefined) spec.clusterIPs = [spec.clusterIP]
  }
  if (spec.type === 'LoadBalancer') {
    spec.externalTrafficPolicy ??= 'Cluster'
    spec.allocateLoadBalancerNodePorts ??= true
  }
  const ports = listAt(spec, 'ports').filter(isMap)
  const names = new Set<unknown>()
  for (const [index, port] of ports.entries()) {
    port.protocol ??= 'TCP'
    if (spec.type !== 'ExternalName' && port.targetPort === undefined) port.targetPort = port.port
    if (ports.length > 1 && port.name === undefined)
      throw invalid('', 'Service', String((object.metadata as JsonMap).name), [
        { reason: 'FieldValueRequired', message: 'Required value', field: `spec.ports[${index}].name` },
      ])
    if (port.name !== undefined && names.has(port.name))
      throw invalid('', 'Service', String((object.metadata as JsonMap).name), [
        {
          reason: 'FieldValueDuplicate',
          message: `Duplicate value: "${String(port.name)}"`,
          field: `spec.ports[${index}].name`,
        },
      ])
    names.add(port.name)
  }
  if (before === undefined) object.status = { loadBalancer: {} }
}

const secrets: Admission = (object, before) => {
  object.type ??= 'Opaque'
  if (isMap(object.stringData)) {
    const data = { ...(object.data as JsonMap | undefined) }
    for (const [key, value] of Object.entries(object.stringData))
      data[key] = Buffer.from(String(value)).toString('base64')
    object.data = data
    delete object.stringData
  }
  for (const [key, value] of Object.entries(isMap(object.data) ? object.data : {})) {
    if (!/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(String(value)))
      throw invalid('', 'Secret', String((object.metadata as JsonMap).name), [
        {
          reason: 'FieldValueInvalid',
          message: 'Invalid value: is not base64; use stringData for plain text',
          field: `data[${key}]`,
        },
      ])
  }
  const old = before as unknown as JsonMap | undefined
  if (old?.immutable === true && !equalJson(old.data, object.data))
    forbiddenChange('', object, 'data', 'field is immutable when `immutable` is set')
}

const endpointSlices: Admission = (object) => {
  for (const port of listAt(object, 'ports')) {
    if (!isMap(port)) continue
    port.protocol ??= 'TCP'
    port.name ??= ''
  }
}

/** Deployment, ReplicaSet, StatefulSet and DaemonSet: a template whose labels the selector selects. */
function workloads(group: string, defaults: JsonMap): Admission {
  return (object, before) => {
    const spec = specOf(object)
    const template = spec.template as JsonMap | undefined
    if (isMap(template?.spec)) defaultPodSpec(template.spec)
    for (const [key, value] of Object.entries(defaults)) spec[key] ??= value
    const old = oldSpec(before)
    if (before !== undefined && !equalJson(old.selector, spec.selector)) forbiddenChange(group, object, 'spec.selector')
    const labels = isMap(template?.metadata) ? template.metadata.labels : undefined
    if (!selectsLabels(spec.selector, labels as Record<string, string> | undefined))
      throw invalid(group, String(object.kind), String((object.metadata as JsonMap).name), [
        {
          reason: 'FieldValueInvalid',
          message: `Invalid value: ${JSON.stringify(labels ?? {})}: \`selector\` does not match template \`labels\``,
          field: 'spec.template.metadata.labels',
        },
      ])
    if (before === undefined) object.status = {}
  }
}

const rollingUpdate = { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' } }

const jobs: Admission = (object, before) => {
  const spec = specOf(object)
  const metadata = object.metadata as JsonMap
  if (before !== undefined) {
    if (!equalJson(oldSpec(before).template, templateAfterDefaults(spec)))
      forbiddenChange('batch', object, 'spec.template')
    return
  }
  const template = spec.template as JsonMap
  if (isMap(template.spec)) {
    defaultPodSpec(template.spec)
    if (template.spec.restartPolicy === 'Always')
      throw invalid('batch', 'Job', String(metadata.name), [
        {
          reason: 'FieldValueNotSupported',
          message: 'Unsupported value: "Always": supported values: "OnFailure", "Never"',
          field: 'spec.template.spec.restartPolicy',
        },
      ])
  }
  const uid = String(metadata.uid ?? randomUUID())
  const labels = {
    'batch.kubernetes.io/controller-uid': uid,
    'batch.kubernetes.io/job-name': metadata.name,
    'controller-uid': uid,
    'job-name': metadata.name,
  }
  const templateMetadata = isMap(template.metadata) ? template.metadata : {}
  template.metadata = {
    ...templateMetadata,
    labels: { ...(templateMetadata.labels as JsonMap | undefined), ...labels },
  }
  spec.selector ??= { matchLabels: { 'batch.kubernetes.io/controller-uid': uid } }
  for (const [key, value] of Object.entries({
    backoffLimit: 6,
    parallelism: 1,
    completionMode: 'NonIndexed',
    suspend: false,
  }))
    spec[key] ??= value
  if (spec.completions === undefined) spec.completions = 1
  object.status = {}
}

/** What an update gives, with the generated labels that its author does not know of. */
function templateAfterDefaults(spec: JsonMap): unknown {
  if (isMap(spec.template) && isMap(spec.template.spec)) defaultPodSpec(spec.template.spec)
  return spec.template
}

const deletePods: DeletionRule = (object, options) => {
  const { spec, status } = object as unknown as { spec: JsonMap; status?: JsonMap }
  if (spec.nodeName === undefined || status?.phase === 'Succeeded' || status?.phase === 'Failed') return 'now'
  const graceSeconds = options.gracePeriodSeconds ?? Number(spec.terminationGracePeriodSeconds ?? 30)
  return graceSeconds <= 0 ? 'now' : { graceSeconds }
}

const deleteNamespaces: DeletionRule = ({ metadata }) => {
  if (['default', 'kube-system', 'kube-public'].includes(metadata.name))
    throw forbidden(`namespaces "${metadata.name}" is forbidden: this namespace may not be deleted`)
  return { graceSeconds: 0 }
}

/** Installs the rules of the built-in kinds. */
export function installAdmission(api: Api): void {
  api.admit('/namespaces', namespaces)
  api.admit('/pods', pods)
  api.admit('/services', services)
  api.admit('/secrets', secrets)
  api.admit('discovery.k8s.io/endpointslices', endpointSlices)
  api.admit(
    'apps/deployments',
    workloads('apps', { replicas: 1, strategy: rollingUpdate, revisionHistoryLimit: 10, progressDeadlineSeconds: 600 }),
  )
  api.admit('apps/replicasets', workloads('apps', { replicas: 1 }))
  api.admit(
    'apps/statefulsets',
    workloads('apps', {
      replicas: 1,
      podManagementPolicy: 'OrderedReady',
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
      revisionHistoryLimit: 10,
    }),
  )
  api.admit(
    'apps/daemonsets',
    workloads('apps', {
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
      revisionHistoryLimit: 10,
    }),
  )
  api.admit('batch/jobs', jobs)
  api.onDeletion('/pods', deletePods)
  api.onDeletion('/namespaces', deleteNamespaces)
}
