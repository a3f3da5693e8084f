// What Kubernetes fills into pods and pod templates, and which fields of a pod may change later.
import { invalid } from '../objects/errors.ts'
import { clone, equalJson, isMap, type JsonMap, type KubeObject, listAt } from '../objects/object.ts'

const probeDefaults = { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 }

function fill(target: JsonMap, defaults: JsonMap): void {
  for (const [key, value] of Object.entries(defaults)) {
    if (target[key] === undefined) target[key] = clone(value)
  }
}

/** Fills a PodSpec in place. */
export function defaultPodSpec(spec: JsonMap): void {
  fill(spec, {
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    securityContext: {},
    schedulerName: 'default-scheduler',
  })
  // The two names of the field follow each other.
  if (spec.serviceAccountName === undefined) spec.serviceAccountName = spec.serviceAccount
  if (spec.serviceAccountName !== undefined) spec.serviceAccount = spec.serviceAccountName
  for (const field of ['serviceAccountName', 'serviceAccount']) if (spec[field] === undefined) delete spec[field]
  for (const container of [...listAt(spec, 'containers'), ...listAt(spec, 'initContainers')]) {
    if (isMap(container)) defaultContainer(container, spec.hostNetwork === true)
  }
  for (const volume of listAt(spec, 'volumes')) if (isMap(volume)) defaultVolume(volume)
}

function defaultContainer(container: JsonMap, hostNetwork: boolean): void {
  fill(container, {
    imagePullPolicy: 'IfNotPresent',
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    resources: {},
  })
  for (const port of listAt(container, 'ports')) {
    if (!isMap(port)) continue
    port.protocol ??= 'TCP'
    if (hostNetwork) port.hostPort ??= port.containerPort
  }
  for (const name of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
    const probe = container[name]
    if (!isMap(probe)) continue
    fill(probe, probeDefaults)
    if (isMap(probe.httpGet)) fill(probe.httpGet, { path: '/', scheme: 'HTTP' })
  }
  for (const variable of listAt(container, 'env')) {
    const source = isMap(variable) && isMap(variable.valueFrom) ? variable.valueFrom.fieldRef : undefined
    if (isMap(source)) source.apiVersion ??= 'v1'
  }
}

function defaultVolume(volume: JsonMap): void {
  if (Object.keys(volume).length === 1) volume.emptyDir = {}
  for (const kind of ['configMap', 'secret', 'projected', 'downwardAPI']) {
    const source = volume[kind]
    if (isMap(source)) source.defaultMode ??= 420
  }
  for (const source of listAt(volume.projected, 'sources')) {
    const token = isMap(source) ? source.serviceAccountToken : undefined
    if (isMap(token)) token.expirationSeconds ??= 3600
  }
  if (isMap(volume.hostPath)) volume.hostPath.type ??= ''
}

/** A pod's defaults at creation, besides its spec's. */
export function defaultPod(object: JsonMap): void {
  const spec = object.spec as JsonMap
  defaultPodSpec(spec)
  spec.serviceAccountName ??= 'default'
  spec.serviceAccount = spec.serviceAccountName
  spec.enableServiceLinks ??= true
  spec.priority ??= 0
  spec.preemptionPolicy ??= 'PreemptLowerPriority'
  object.status = { phase: 'Pending', qosClass: 'BestEffort' }
}

/** Throws 422 when an update changes a field of a pod that can not change. */
export function checkPodUpdate(object: JsonMap, before: KubeObject): void {
  const old = clone((before as unknown as { spec: JsonMap }).spec)
  const now = clone(object.spec as JsonMap)
  if (old.nodeName === undefined || old.nodeName === '') delete now.nodeName
  for (const field of ['activeDeadlineSeconds', 'tolerations', 'terminationGracePeriodSeconds']) {
    delete old[field]
    delete now[field]
  }
  for (const list of ['containers', 'initContainers'])
    for (const spec of [old, now])
      for (const container of listAt(spec, list)) if (isMap(container)) delete container.image
  delete old.nodeName
  if (equalJson({ ...old, nodeName: undefined }, { ...now, nodeName: undefined }) && sameNode(object, before)) return
  throw invalid('', 'Pod', before.metadata.name, [
    {
      reason: 'FieldValueForbidden',
      message:
        'Forbidden: pod updates may not change fields other than `spec.containers[*].image`, `spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations` or `spec.terminationGracePeriodSeconds`; delete the pod and create it again',
      field: 'spec',
    },
  ])
}

function sameNode(object: JsonMap, before: KubeObject): boolean {
  const old = (before as unknown as { spec: JsonMap }).spec.nodeName
  return old === undefined || old === '' || (object.spec as JsonMap).nodeName === old
}
