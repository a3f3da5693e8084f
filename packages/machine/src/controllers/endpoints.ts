// EndpointSlices: which pods a Service has, one slice per address family.

import { resourcePath } from '@wishbone/runtime/kube'
import { controllerReference, keyOf, splitKey } from '../api/objects/object.ts'
import { resources } from '../client/api.ts'
import {
  type Endpoint,
  type EndpointSlice,
  type Pod,
  podIsOver,
  podIsReady,
  type Service,
  type ServicePort,
} from '../types.ts'
import { type Context, createQueue } from './context.ts'
import { familiesOf } from './services.ts'

const manager = 'endpointslice-controller.k8s.io'

/** The container port that a Service port leads to in this pod; undefined when a named port is not there. */
export function targetPortOf(port: ServicePort, pod: Pod): number | undefined {
  const target = port.targetPort ?? port.port
  if (typeof target === 'number') return target
  if (/^\d+$/.test(target)) return Number(target)
  for (const container of pod.spec.containers) {
    const found = container.ports?.find(
      (candidate) => candidate.name === target && (candidate.protocol ?? 'TCP') === (port.protocol ?? 'TCP'),
    )
    if (found) return found.containerPort
  }
  return undefined
}

/** The slices that a Service with a selector should have; pods whose named ports differ get slices of their own. Pure. */
export function slicesOf(
  service: Service,
  pods: readonly Pod[],
  families: readonly ('IPv4' | 'IPv6')[],
): readonly EndpointSlice[] {
  const slices: EndpointSlice[] = []
  for (const family of families) {
    const groups = new Map<string, { ports: EndpointSlice['ports']; endpoints: Endpoint[] }>()
    for (const pod of pods) {
      const ip = pod.status?.podIPs?.find((entry) => entry.ip.includes(':') === (family === 'IPv6'))?.ip
      if (!ip) continue
      const ports = (service.spec.ports ?? []).flatMap((port) => {
        const number = targetPortOf(port, pod)
        if (number === undefined) return []
        const appProtocol = port.appProtocol ? { appProtocol: port.appProtocol } : {}
        return [{ name: port.name ?? '', port: number, protocol: port.protocol ?? 'TCP', ...appProtocol }]
      })
      const group = groups.get(JSON.stringify(ports)) ?? { ports, endpoints: [] }
      groups.set(JSON.stringify(ports), group)
      const terminating = pod.metadata.deletionTimestamp !== undefined
      const ready = podIsReady(pod) || (service.spec.publishNotReadyAddresses ?? false)
      group.endpoints.push({
        addresses: [ip],
        conditions: { ready: ready && !terminating, serving: ready, terminating },
        ...(pod.spec.hostname && pod.spec.subdomain === service.metadata.name ? { hostname: pod.spec.hostname } : {}),
        ...(pod.spec.nodeName ? { nodeName: pod.spec.nodeName } : {}),
        targetRef: {
          kind: 'Pod',
          namespace: pod.metadata.namespace ?? '',
          name: pod.metadata.name,
          uid: pod.metadata.uid ?? '',
        },
      })
    }
    if (groups.size === 0) groups.set('', { ports: [], endpoints: [] })
    let index = 0
    for (const group of groups.values()) {
      slices.push({
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: {
          name: `${service.metadata.name}-${family.toLowerCase()}${index++ || ''}`,
          ...(service.metadata.namespace === undefined ? {} : { namespace: service.metadata.namespace }),
          labels: {
            ...service.metadata.labels,
            'kubernetes.io/service-name': service.metadata.name,
            'endpointslice.kubernetes.io/managed-by': manager,
          },
          ownerReferences: [controllerReference(service)],
        },
        addressType: family,
        ports: group.ports ?? [],
        endpoints: group.endpoints.sort((a, b) => (a.addresses[0] ?? '').localeCompare(b.addresses[0] ?? '')),
      })
    }
  }
  return slices
}

const essence = (slice: EndpointSlice): string =>
  JSON.stringify([slice.metadata.labels, slice.addressType, slice.ports ?? [], slice.endpoints ?? []])

export function startEndpoints(context: Context, cluster: readonly ('IPv4' | 'IPv6')[]): void {
  const { client, mirrors } = context
  const enqueue = createQueue(context, 'EndpointSlices of', async (key) => {
    const [namespace, name] = splitKey(key)
    const service = mirrors.services.get(namespace, name)
    const existing = [...mirrors.endpointSlices.all()].filter(
      (slice) =>
        slice.metadata.namespace === namespace &&
        slice.metadata.labels?.['kubernetes.io/service-name'] === name &&
        slice.metadata.labels['endpointslice.kubernetes.io/managed-by'] === manager,
    )
    const selector = service?.spec.selector
    const wanted =
      service && selector && !service.metadata.deletionTimestamp
        ? slicesOf(
            service,
            [...mirrors.pods.all()].filter(
              (pod) =>
                pod.metadata.namespace === namespace &&
                !podIsOver(pod) &&
                Object.entries(selector).every(([label, value]) => pod.metadata.labels?.[label] === value),
            ),
            familiesOf(service, cluster),
          )
        : []
    for (const slice of wanted) {
      const now = existing.find((candidate) => candidate.metadata.name === slice.metadata.name)
      if (!now) await client.create(resources.endpointSlices, slice)
      else if (essence(now) !== essence(slice)) {
        const body = { ...slice, metadata: { ...slice.metadata, resourceVersion: now.metadata.resourceVersion } }
        await client.kube.request('PUT', resourcePath(resources.endpointSlices, namespace, slice.metadata.name), {
          body,
        })
      }
    }
    for (const slice of existing) {
      if (!wanted.some((candidate) => candidate.metadata.name === slice.metadata.name)) {
        await client.remove(resources.endpointSlices, namespace, slice.metadata.name)
      }
    }
  })
  mirrors.services.onChange((now, before) => enqueue(keyOf((now ?? before)!)))
  mirrors.endpointSlices.onChange((now, before) => {
    const slice = (now ?? before)!
    const service = slice.metadata.labels?.['kubernetes.io/service-name']
    if (service && slice.metadata.labels?.['endpointslice.kubernetes.io/managed-by'] === manager)
      enqueue(`${slice.metadata.namespace}/${service}`)
  })
  mirrors.pods.onChange((now, before) => {
    for (const service of mirrors.services.all()) {
      const selector = Object.entries(service.spec.selector ?? {})
      if (selector.length === 0) continue
      const touched = [now, before].some(
        (pod) =>
          pod &&
          pod.metadata.namespace === service.metadata.namespace &&
          selector.every(([label, value]) => pod.metadata.labels?.[label] === value),
      )
      if (touched) enqueue(keyOf(service))
    }
  })
  for (const service of mirrors.services.all()) enqueue(keyOf(service))
}
