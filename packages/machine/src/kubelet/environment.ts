// A container's environment variables and the pod's own facts (downward API). Pure.
import type { KubeObject } from '../api/objects/object.ts'
import type { Container, Pod } from '../types.ts'

export interface Lookup {
  secret(namespace: string, name: string): KubeObject | undefined
  configMap(namespace: string, name: string): KubeObject | undefined
}

/** Thrown when something that a container needs is not there; it is tried again. */
export class NotYet extends Error {
  readonly reason: string
  constructor(reason: string, message: string) {
    super(message)
    this.reason = reason
  }
}

/** The value of a downward API field path; undefined for one that has no meaning here. */
export function fieldOf(pod: Pod, path: string, node: { readonly ip: string }): string | undefined {
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path)
  if (keyed) return (keyed[1] === 'labels' ? pod.metadata.labels : pod.metadata.annotations)?.[keyed[2] ?? ''] ?? ''
  switch (path) {
    case 'metadata.name':
      return pod.metadata.name
    case 'metadata.namespace':
      return pod.metadata.namespace ?? ''
    case 'metadata.uid':
      return pod.metadata.uid ?? ''
    case 'metadata.labels':
    case 'metadata.annotations': {
      const map = path === 'metadata.labels' ? pod.metadata.labels : pod.metadata.annotations
      return Object.entries(map ?? {})
        .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
        .join('\n')
    }
    case 'spec.nodeName':
      return pod.spec.nodeName ?? ''
    case 'spec.serviceAccountName':
      return pod.spec.serviceAccountName ?? 'default'
    case 'status.podIP':
      return pod.status?.podIP ?? ''
    case 'status.podIPs':
      return (pod.status?.podIPs ?? []).map(({ ip }) => ip).join(',')
    case 'status.hostIP':
      return node.ip
    default:
      return undefined
  }
}

export function secretData(secret: KubeObject | undefined): Readonly<Record<string, Buffer>> | undefined {
  if (!secret) return undefined
  const { data, stringData } = secret as unknown as {
    data?: Record<string, string>
    stringData?: Record<string, string>
  }
  const decoded = Object.entries(data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64')] as const)
  return Object.fromEntries([
    ...decoded,
    ...Object.entries(stringData ?? {}).map(([key, value]) => [key, Buffer.from(value)] as const),
  ])
}

export function configMapData(map: KubeObject | undefined): Readonly<Record<string, Buffer>> | undefined {
  if (!map) return undefined
  const { data, binaryData } = map as unknown as { data?: Record<string, string>; binaryData?: Record<string, string> }
  const decoded = Object.entries(binaryData ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64')] as const)
  return Object.fromEntries([
    ...Object.entries(data ?? {}).map(([key, value]) => [key, Buffer.from(value)] as const),
    ...decoded,
  ])
}

function expand(value: string, known: Readonly<Record<string, string>>): string {
  return value.replaceAll(/\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)/g, (whole, name: string) => known[name] ?? whole)
}

/** Throws NotYet when a Secret or ConfigMap that is not optional is missing. */
export function environmentOf(
  pod: Pod,
  container: Container,
  lookup: Lookup,
  node: { readonly ip: string },
): Record<string, string> {
  const namespace = pod.metadata.namespace ?? ''
  const env: Record<string, string> = {}
  const missing = (what: string, name: string): NotYet =>
    new NotYet(
      'CreateContainerConfigError',
      `${what} ${namespace}/${name} is not there, which container ${container.name} needs`,
    )
  for (const source of container.envFrom ?? []) {
    const from = source.secretRef ?? source.configMapRef
    if (!from) continue
    const data = source.secretRef
      ? secretData(lookup.secret(namespace, from.name))
      : configMapData(lookup.configMap(namespace, from.name))
    if (!data && !from.optional) throw missing(source.secretRef ? 'Secret' : 'ConfigMap', from.name)
    for (const [key, value] of Object.entries(data ?? {})) env[`${source.prefix ?? ''}${key}`] = value.toString('utf8')
  }
  for (const { name, value, valueFrom } of container.env ?? []) {
    if (value !== undefined) env[name] = expand(value, env)
    else if (valueFrom?.fieldRef) env[name] = fieldOf(pod, valueFrom.fieldRef.fieldPath, node) ?? ''
    else if (valueFrom?.secretKeyRef ?? valueFrom?.configMapKeyRef) {
      const secret = valueFrom?.secretKeyRef
      const from = (secret ?? valueFrom?.configMapKeyRef)!
      const data = secret
        ? secretData(lookup.secret(namespace, from.name))
        : configMapData(lookup.configMap(namespace, from.name))
      const found = data?.[from.key]
      if (!found && !from.optional) throw missing(secret ? 'Secret' : 'ConfigMap', `${from.name} with key ${from.key}`)
      if (found) env[name] = found.toString('utf8')
    }
  }
  return env
}
