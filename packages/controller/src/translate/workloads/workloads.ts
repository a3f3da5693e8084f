// Pods, and addresses in EndpointSlices that are no pods, as istio.workload.Workload: still without
// waypoints and policies (ambient wire §2.6).

import { formatIp, parseIp } from '@wishbone/core/ip'
import { workloadUid } from '@wishbone/core/names'
import { workload } from '@wishbone/proto'
import type { EndpointSlice, Pod } from '../../kinds/index.ts'
import { annotations, labels } from '../names.ts'
import type { MeshService } from '../services/services.ts'
import { createSound } from '../sound.ts'
import { guarded, namespaceLabels, type World } from '../world.ts'
import { membershipOf, portsOfSlices } from './membership.ts'
import { canonicalOf, ownerOf } from './owner.ts'

export interface MeshWorkload {
  readonly uid: string
  readonly namespace: string
  /** Absent: an address of an EndpointSlice. */
  readonly pod?: Pod
  readonly message: workload.Workload
  /** On its way out, and its probes say that it still answers. */
  readonly servesToTheLast?: boolean
}

/** By uid. */
export function meshWorkloads(
  world: World,
  services: ReadonlyMap<string, MeshService>,
): ReadonlyMap<string, MeshWorkload> {
  const workloads = new Map<string, MeshWorkload>()
  const servicesIn = Map.groupBy(services.values(), ({ namespace }) => namespace)
  for (const pod of world.snapshot.pods) {
    const found = guarded(world, pod, () => podWorkload(world, pod, servicesIn.get(pod.metadata.namespace ?? '') ?? []))
    if (found) workloads.set(found.uid, found)
  }
  for (const service of services.values()) {
    if (service.object.spec.type === 'ExternalName') {
      const found = guarded(world, service.object, () => externalWorkload(world, service))
      if (found) workloads.set(found.uid, found)
      continue
    }
    if (Object.keys(service.object.spec.selector ?? {}).length > 0) continue
    for (const slice of world.slicesOf.get(service.key) ?? []) {
      for (const found of guarded(world, slice, () => sliceWorkloads(world, service, slice)) ?? []) {
        workloads.set(found.uid, found)
      }
    }
  }
  keepServing(workloads)
  return workloads
}

/** Ready, and not on its way out. */
export function isReady(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp === undefined && isServing(pod)
}

/** Its probes say that it answers, be it on its way out or not. */
function isServing(pod: Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
}

/**
 * Where a Service has no ready pod, those that are on their way out and still answer get its traffic, as without the mesh
 * (kube-proxy, KEP-1669).
 */
function keepServing(workloads: ReadonlyMap<string, MeshWorkload>): void {
  const served = new Set<string>()
  const leaving: MeshWorkload[] = []
  for (const found of workloads.values()) {
    const { message } = found
    if (message.status === workload.WorkloadStatus.HEALTHY) for (const name in message.services) served.add(name)
    else if (found.servesToTheLast) leaving.push(found)
  }
  for (const { message } of leaving)
    if (Object.keys(message.services).some((name) => !served.has(name)))
      message.status = workload.WorkloadStatus.HEALTHY
}

export function addressesOf(pod: Pod): readonly Uint8Array[] {
  const texts = pod.status?.podIPs?.map(({ ip }) => ip) ?? (pod.status?.podIP ? [pod.status.podIP] : [])
  return texts.flatMap((text) => {
    const ip = parseIp(text)
    return ip ? [ip] : []
  })
}

function podWorkload(world: World, pod: Pod, services: readonly MeshService[]): MeshWorkload | undefined {
  const { settings } = world
  const phase = pod.status?.phase
  const addresses = addressesOf(pod)
  if (phase === 'Succeeded' || phase === 'Failed' || addresses.length === 0) return undefined
  const namespace = pod.metadata.namespace ?? ''
  const uid = workloadUid(settings.clusterId, namespace, pod.metadata.name)
  const nativeTunnel = pod.metadata.labels?.[labels.tunnel] === 'http'
  const captured = pod.metadata.annotations?.[annotations.redirection] === 'enabled'
  const owner = ownerOf(pod)
  const serving = isServing(pod)
  const leaving = pod.metadata.deletionTimestamp !== undefined
  const canonical = canonicalOf(pod, owner)
  const message = createSound(workload.WorkloadSchema, {
    uid,
    name: pod.metadata.name,
    namespace,
    addresses: [...addresses],
    network: networkOf(world, pod),
    tunnelProtocol: captured || nativeTunnel ? workload.TunnelProtocol.HBONE : workload.TunnelProtocol.NONE,
    nativeTunnel,
    trustDomain: settings.trustDomain === 'cluster.local' ? '' : settings.trustDomain,
    serviceAccount: pod.spec.serviceAccountName ?? 'default',
    node: pod.spec.nodeName ?? '',
    canonicalName: canonical.name,
    canonicalRevision: canonical.revision,
    workloadType: owner.type,
    workloadName: owner.name,
    services: { ...membershipOf(world, pod, services) },
    status: serving && !leaving ? workload.WorkloadStatus.HEALTHY : workload.WorkloadStatus.UNHEALTHY,
    clusterId: settings.clusterId,
    networkMode: pod.spec.hostNetwork ? workload.NetworkMode.HOST_NETWORK : workload.NetworkMode.STANDARD,
  })
  const locality = localityOf(world, pod.spec.nodeName)
  if (locality) message.locality = locality
  return { uid, namespace, pod, message, servesToTheLast: serving && leaving }
}

/** Endpoints that are no pods are reachable only through their Service: HOST_NETWORK keeps them out of the IP index. */
function sliceWorkloads(world: World, service: MeshService, slice: EndpointSlice): readonly MeshWorkload[] {
  if (slice.addressType === 'FQDN') return []
  const { settings } = world
  const ports = portsOfSlices(service, [slice])
  return (slice.endpoints ?? []).flatMap((endpoint) => {
    if (endpoint.targetRef?.kind === 'Pod') return []
    return endpoint.addresses.flatMap((text) => {
      const ip = parseIp(text)
      if (!ip) return []
      const uid = `${settings.clusterId}/discovery.k8s.io/EndpointSlice/${service.namespace}/${slice.metadata.name}/${formatIp(ip)}`
      const message = createSound(workload.WorkloadSchema, {
        uid,
        name: slice.metadata.name,
        namespace: service.namespace,
        addresses: [ip],
        network: settings.network,
        services: { [service.name]: ports },
        status:
          endpoint.conditions?.ready === false ? workload.WorkloadStatus.UNHEALTHY : workload.WorkloadStatus.HEALTHY,
        clusterId: settings.clusterId,
        networkMode: workload.NetworkMode.HOST_NETWORK,
        workloadType: workload.WorkloadType.POD,
        workloadName: slice.metadata.name,
        canonicalName: slice.metadata.name,
        canonicalRevision: 'latest',
        node: endpoint.nodeName ?? '',
      })
      return [{ uid, namespace: service.namespace, message }]
    })
  })
}

/** What an ExternalName Service names: a host that is looked up when it is connected to, or an address. */
function externalWorkload(world: World, { object, name, namespace }: MeshService): MeshWorkload | undefined {
  const hostname = (object.spec.externalName ?? '').replace(/\.$/, '')
  if (hostname === '') return undefined
  const { settings } = world
  const uid = `${settings.clusterId}//Service/${namespace}/${object.metadata.name}`
  const ip = parseIp(hostname)
  const message = createSound(workload.WorkloadSchema, {
    uid,
    name: object.metadata.name,
    namespace,
    ...(ip ? { addresses: [ip] } : { hostname }),
    network: settings.network,
    services: { [name]: { ports: [] } },
    status: workload.WorkloadStatus.HEALTHY,
    clusterId: settings.clusterId,
    networkMode: workload.NetworkMode.HOST_NETWORK,
    canonicalName: object.metadata.name,
    canonicalRevision: 'latest',
  })
  return { uid, namespace, message }
}

function networkOf(world: World, pod: Pod): string {
  return (
    pod.metadata.labels?.[labels.network] ??
    namespaceLabels(world, world.settings.systemNamespace)[labels.network] ??
    world.settings.network
  )
}

function localityOf(world: World, nodeName: string | undefined): workload.Locality | undefined {
  const found = nodeName === undefined ? undefined : world.nodes.get(nodeName)?.metadata.labels
  const region = found?.['topology.kubernetes.io/region']
  const zone = found?.['topology.kubernetes.io/zone']
  const subzone = found?.['topology.istio.io/subzone']
  if (!region && !zone && !subzone) return undefined
  return createSound(workload.LocalitySchema, { region: region ?? '', zone: zone ?? '', subzone: subzone ?? '' })
}
