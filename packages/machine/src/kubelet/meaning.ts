// Which fields of a pod this machine cannot give a meaning to. Pure.
import type { KubeObject } from '../api/objects/object.ts'
import type { Pod } from '../types.ts'

/** Pod fields that have no meaning here, each named once per pod. Pure. */
export function meaninglessFields(pod: Pod): readonly string[] {
  const spec = pod.spec as unknown as Record<string, unknown>
  const found = [
    'affinity',
    'tolerations',
    'topologySpreadConstraints',
    'hostPID',
    'hostIPC',
    'dnsConfig',
    'runtimeClassName',
    'imagePullSecrets',
    'hostAliases',
  ].filter(
    (field) => spec[field] !== undefined && (!Array.isArray(spec[field]) || (spec[field] as unknown[]).length > 0),
  )
  // Pods on the node's network have the cluster's DNS here, too.
  if (!['ClusterFirst', 'ClusterFirstWithHostNet', undefined].includes(spec['dnsPolicy'] as string | undefined))
    found.push('dnsPolicy')
  for (const container of pod.spec.containers as unknown as Record<string, unknown>[]) {
    // What a container asks for it gets here, since nothing is rationed; limits would be.
    const resources_ = container['resources'] as Record<string, unknown> | undefined
    if (resources_?.['limits'] !== undefined) found.push('containers[].resources.limits')
    const security = container['securityContext'] as Record<string, unknown> | undefined
    for (const field of [
      'capabilities',
      'readOnlyRootFilesystem',
      'privileged',
      'seccompProfile',
      'allowPrivilegeEscalation',
      'runAsNonRoot',
    ]) {
      if (security?.[field] !== undefined) found.push(`containers[].securityContext.${field}`)
    }
  }
  for (const volume of pod.spec.volumes ?? []) {
    const [kind] = Object.keys(volume).filter((field) => field !== 'name')
    if (kind && !['emptyDir', 'hostPath', 'configMap', 'secret', 'projected', 'downwardAPI'].includes(kind))
      found.push(`volumes[].${kind}`)
  }
  return [...new Set(found)]
}

/** A sentence about the fields of a pod, or of a workload's pod template, that have no meaning here. Pure. */
export function remarkOnPods(object: KubeObject): string | undefined {
  const { spec, metadata } = object as unknown as Pod
  const template = (spec as { template?: { spec?: Pod['spec'] } } | undefined)?.template
  const found = object.kind === 'Pod' ? spec : template?.spec?.containers ? template.spec : undefined
  const names = found ? meaninglessFields({ metadata, spec: found } as Pod) : []
  return names.length > 0
    ? `these fields have no meaning on this machine and are ignored: ${names.join(', ')}`
    : undefined
}
