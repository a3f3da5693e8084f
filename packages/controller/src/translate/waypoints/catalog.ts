// The waypoints that exist: Gateways of our mesh controller's classes with an HBONE listener.
import { serviceFqdn } from '@wishbone/core/names'
import type { Gateway } from '../../kinds/index.ts'
import { gatewayLabel, infraName } from '../infra/names.ts'
import { annotations, automaticGatewayName, labels } from '../names.ts'
import { allowsNamespace } from '../selector.ts'
import { isReady } from '../workloads/workloads.ts'
import { guarded, keyOf, namespaceLabels, type World } from '../world.ts'

export interface Waypoint {
  /** `<namespace>/<gateway>`. */
  readonly key: string
  readonly namespace: string
  readonly name: string
  readonly gateway: Gateway
  /** The hostname of its Service, which workloads and Services are pointed at. */
  readonly hostname: string
  readonly serviceAccount: string
  /** Identity as policies write it, without spiffe://. */
  readonly principal: string
  readonly handles: { readonly services: boolean; readonly workloads: boolean }
  readonly automatic: boolean
  /** At least one of its pods is ready now. */
  readonly ready: boolean
  /** Recorded on the Gateway: it has been ready at least once. Only automatic waypoints need to know. */
  readonly readyOnce: boolean
  readonly allows: (namespace: string) => boolean
}

/** By `<namespace>/<gateway>`; only of Gateways whose keys are in `served`. */
export function waypoints(world: World, served: ReadonlySet<string>): ReadonlyMap<string, Waypoint> {
  const found = new Map<string, Waypoint>()
  for (const gateway of world.snapshot.gateways) {
    if (!served.has(keyOf(gateway))) continue
    const waypoint = guarded(world, gateway, () => waypointOf(world, gateway))
    if (waypoint) found.set(waypoint.key, waypoint)
  }
  return found
}

/** The listener that makes a Gateway a waypoint. */
export function hboneListener(gateway: Gateway) {
  return gateway.spec.listeners.find(({ protocol, port }) => protocol === 'HBONE' && port === 15008)
}

/** Whether one of the Gateway's pods is ready. */
export function hasReadyPod(world: World, gateway: Gateway): boolean {
  return (world.podsIn.get(gateway.metadata.namespace ?? '') ?? []).some(
    (pod) =>
      pod.metadata.labels?.[labels.gatewayName] === gatewayLabel(gateway) &&
      guarded(world, pod, () => isReady(pod)) === true,
  )
}

/** An automatic waypoint is told by name and label, so that a user's Gateway is never taken for one. */
export function isAutomatic(gateway: Gateway): boolean {
  return gateway.metadata.name === automaticGatewayName && gateway.metadata.labels?.[labels.automatic] !== undefined
}

function waypointOf(world: World, gateway: Gateway): Waypoint | undefined {
  const listener = hboneListener(gateway)
  if (world.classes.get(gateway.spec.gatewayClassName) !== 'waypoint' || !listener) return undefined
  const { settings } = world
  const namespace = gateway.metadata.namespace ?? ''
  const serviceAccount = infraName(gateway, 'waypoint')
  const handles = waypointFor(world, gateway)
  const automatic = isAutomatic(gateway)
  return {
    key: keyOf(gateway),
    namespace,
    name: gateway.metadata.name,
    gateway,
    hostname: serviceFqdn(namespace, infraName(gateway, 'waypoint'), settings.clusterDomain),
    serviceAccount,
    principal: `${settings.trustDomain}/ns/${namespace}/sa/${serviceAccount}`,
    handles: {
      services: handles === 'service' || handles === 'all',
      workloads: handles === 'workload' || handles === 'all',
    },
    automatic,
    ready: hasReadyPod(world, gateway),
    readyOnce: gateway.metadata.annotations?.[annotations.readySince] !== undefined,
    allows: (from) =>
      allowsNamespace(listener.allowedRoutes?.namespaces, namespace, from, namespaceLabels(world, from)),
  }
}

function waypointFor(world: World, gateway: Gateway): string {
  const ofClass = world.snapshot.gatewayClasses.find(({ metadata }) => metadata.name === gateway.spec.gatewayClassName)
  return gateway.metadata.labels?.[labels.waypointFor] ?? ofClass?.metadata.labels?.[labels.waypointFor] ?? 'service'
}
