// Kubernetes Services as istio.workload.Service, still without their waypoints.

import { create } from '@bufbuild/protobuf'
import { parseIp } from '@wishbone/core/ip'
import { serviceFqdn, serviceName } from '@wishbone/core/names'
import { workload } from '@wishbone/proto'
import type { Service as KubeService, ServicePort } from '../../kinds/index.ts'
import { annotations } from '../names.ts'
import { createSound } from '../sound.ts'
import { guarded, keyOf, type World } from '../world.ts'
import { appProtocolOf } from './protocol.ts'

/** A Service of the mesh: the object, and the message that proxies get. */
export interface MeshService {
  readonly key: string
  readonly object: KubeService
  /** Resource name, `<namespace>/<hostname>`. */
  readonly name: string
  readonly namespace: string
  readonly hostname: string
  readonly headless: boolean
  readonly message: workload.Service
}

/** ExternalName Services are names in DNS only: the mesh has nothing to do for them, unless settings let them be backends. By object key. */
export function meshServices(world: World): ReadonlyMap<string, MeshService> {
  const services = new Map<string, MeshService>()
  for (const object of world.snapshot.services) {
    const isLeftOut = object.spec?.type === 'ExternalName' && !world.settings.externalNameBackends
    const service = isLeftOut ? undefined : guarded(world, object, () => meshService(world, object))
    if (service) services.set(service.key, service)
  }
  return services
}

/** The ports that the mesh carries; UDP and SCTP pass it by. */
export function tcpPorts(service: KubeService): readonly ServicePort[] {
  return (service.spec.ports ?? []).filter((port) => (port.protocol ?? 'TCP') === 'TCP')
}

function meshService(world: World, object: KubeService): MeshService {
  const { settings } = world
  const namespace = object.metadata.namespace ?? ''
  const hostname = serviceFqdn(namespace, object.metadata.name, settings.clusterDomain)
  const vips = clusterIps(object)
  const balancing = loadBalancing(object)
  const message = createSound(workload.ServiceSchema, {
    name: object.metadata.name,
    namespace,
    hostname,
    addresses: vips.map((ip) => ({ network: settings.network, address: parseIp(ip)! })),
    ports: tcpPorts(object).map((port) => ({
      servicePort: port.port,
      targetPort: typeof port.targetPort === 'string' ? 0 : (port.targetPort ?? port.port),
      appProtocol: appProtocolOf(port),
    })),
    ipFamilies: ipFamilies(object),
    canonical: true,
    ...(balancing ? { loadBalancing: balancing } : {}),
  })
  return {
    key: keyOf(object),
    object,
    name: serviceName(namespace, hostname),
    namespace,
    hostname,
    headless: vips.length === 0,
    message,
  }
}

function clusterIps({ spec }: KubeService): readonly string[] {
  const all = spec.clusterIPs?.length ? spec.clusterIPs : spec.clusterIP ? [spec.clusterIP] : []
  return all.filter((ip) => parseIp(ip) !== undefined)
}

function ipFamilies({ spec }: KubeService): workload.IPFamilies {
  const v4 = spec.ipFamilies?.includes('IPv4') ?? false
  const v6 = spec.ipFamilies?.includes('IPv6') ?? false
  if (v4 && v6) return workload.IPFamilies.DUAL
  if (v4) return workload.IPFamilies.IPV4_ONLY
  return v6 ? workload.IPFamilies.IPV6_ONLY : workload.IPFamilies.AUTOMATIC
}

/** Ambient wire §2.6, Service. */
function loadBalancing(object: KubeService): workload.LoadBalancing | undefined {
  const { LoadBalancing_Scope: Scope, LoadBalancing_Mode: Mode, LoadBalancing_HealthPolicy: Health } = workload
  const healthPolicy = object.spec.publishNotReadyAddresses ? Health.ALLOW_ALL : Health.ONLY_HEALTHY
  if (object.spec.internalTrafficPolicy === 'Local') {
    return create(workload.LoadBalancingSchema, { routingPreference: [Scope.NODE], mode: Mode.STRICT, healthPolicy })
  }
  const wanted = object.spec.trafficDistribution ?? object.metadata.annotations?.[annotations.trafficDistribution]
  const zone = [Scope.NETWORK, Scope.REGION, Scope.ZONE]
  switch (wanted) {
    case 'PreferClose':
    case 'PreferSameZone':
      return create(workload.LoadBalancingSchema, { routingPreference: zone, mode: Mode.FAILOVER, healthPolicy })
    case 'PreferSameNode':
      return create(workload.LoadBalancingSchema, {
        routingPreference: [...zone, Scope.SUBZONE, Scope.NODE],
        mode: Mode.FAILOVER,
        healthPolicy,
      })
    default:
      return object.spec.publishNotReadyAddresses ? create(workload.LoadBalancingSchema, { healthPolicy }) : undefined
  }
}
