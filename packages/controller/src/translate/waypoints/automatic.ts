// The life of automatic waypoints: made for the first route, marked when first ready, marked when
// nothing needs them any more, deleted after a while. All state is in the Gateway's annotations. The while is long, for a
// route that is replaced comes back soon, and a new waypoint takes seconds in which traffic is not what it was.
import type { Gateway } from '../../kinds/index.ts'
import type { Desired } from '../../model/index.ts'
import { annotations, automaticGatewayName, gatewayApiVersion, labels, waypointClass } from '../names.ts'
import type { MeshService } from '../services/services.ts'
import { compareText, isEnrolled, isTerminating, type World } from '../world.ts'
import { type Bindings, wantedWaypoint } from './binding.ts'
import { hasReadyPod, isAutomatic } from './catalog.ts'

export interface AutomaticWaypoints {
  readonly desired: readonly Desired[]
  /** When the next one is due to be deleted; milliseconds since the epoch. */
  readonly recheckAtUnixMs?: number
}

/** How long one stays whose Services go through another: long enough for a label that is taken back at once. */
const replacedLingerMs = 60_000

export function automaticWaypoints(
  world: World,
  services: ReadonlyMap<string, MeshService>,
  named: ReadonlySet<string>,
  bindings: Bindings,
): AutomaticWaypoints {
  const present = new Map<string, Gateway>()
  const taken = new Set<string>()
  for (const gateway of world.snapshot.gateways) {
    const namespace = gateway.metadata.namespace ?? ''
    if (gateway.metadata.name !== automaticGatewayName || gateway.metadata.deletionTimestamp) continue
    if (isAutomatic(gateway)) present.set(namespace, gateway)
    else taken.add(namespace)
  }
  const needed = namespacesInNeed(world, services, named)
  const desired: Desired[] = []
  let recheckAtUnixMs: number | undefined
  for (const namespace of [...new Set([...needed, ...present.keys()])].sort(compareText)) {
    if (taken.has(namespace) || isTerminating(world, namespace)) continue
    const gateway = present.get(namespace)
    const readySince = gateway?.metadata.annotations?.[annotations.readySince] ?? firstReady(world, gateway)
    if (needed.has(namespace)) {
      desired.push(gatewayObject(namespace, { readySince }))
      continue
    }
    const unusedSince = gateway?.metadata.annotations?.[annotations.unusedSince] ?? time(world.snapshot.nowUnixMs)
    const { automaticWaypointLingerMs } = world.settings
    const lingerMs = (() => {
      if (!isReplaced(namespace, services, named, bindings)) return automaticWaypointLingerMs
      return readySince === undefined ? 0 : Math.min(replacedLingerMs, automaticWaypointLingerMs)
    })()
    const endUnixMs = (Date.parse(unusedSince) || 0) + lingerMs
    if (endUnixMs <= world.snapshot.nowUnixMs) {
      const ref = { apiVersion: gatewayApiVersion, kind: 'Gateway', namespace, name: automaticGatewayName }
      desired.push({ kind: 'delete', ref })
      continue
    }
    recheckAtUnixMs = Math.min(recheckAtUnixMs ?? endUnixMs, endUnixMs)
    desired.push(gatewayObject(namespace, { readySince, unusedSince }))
  }
  return recheckAtUnixMs === undefined ? { desired } : { desired, recheckAtUnixMs }
}

/** Namespaces with a Service that is named and that no label already binds or opts out. */
function namespacesInNeed(
  world: World,
  services: ReadonlyMap<string, MeshService>,
  named: ReadonlySet<string>,
): ReadonlySet<string> {
  const needed = new Set<string>()
  for (const key of named) {
    const service = services.get(key)
    if (!service || !isEnrolled(world, service.namespace)) continue
    if (service.object.metadata.labels?.[labels.gatewayName] !== undefined) continue
    if (wantedWaypoint(world, service.object, service.namespace) === undefined) needed.add(service.namespace)
  }
  return needed
}

/** Whether the namespace's Services that are named all go through other waypoints now, and there is one. */
function isReplaced(
  namespace: string,
  services: ReadonlyMap<string, MeshService>,
  named: ReadonlySet<string>,
  bindings: Bindings,
): boolean {
  const own = [...named].filter((key) => services.get(key)?.namespace === namespace)
  return (
    own.length > 0 &&
    own.every((key) => {
      const binding = bindings.services.get(key)
      return binding?.kind === 'bound' && binding.pointed && binding.waypoint.ready && !binding.waypoint.automatic
    })
  )
}

function firstReady(world: World, gateway: Gateway | undefined): string | undefined {
  return gateway && hasReadyPod(world, gateway) ? time(world.snapshot.nowUnixMs) : undefined
}

function time(unixMs: number): string {
  return new Date(unixMs).toISOString().replace(/\.\d+Z$/, 'Z')
}

function gatewayObject(
  namespace: string,
  marks: { readonly readySince?: string | undefined; readonly unusedSince?: string },
): Desired {
  const marked: Record<string, string> = {}
  if (marks.readySince !== undefined) marked[annotations.readySince] = marks.readySince
  if (marks.unusedSince !== undefined) marked[annotations.unusedSince] = marks.unusedSince
  return {
    kind: 'apply',
    object: {
      apiVersion: gatewayApiVersion,
      kind: 'Gateway',
      metadata: {
        name: automaticGatewayName,
        namespace,
        labels: { [labels.automatic]: 'true', [labels.waypointFor]: 'service' },
        ...(Object.keys(marked).length > 0 ? { annotations: marked } : {}),
      },
      spec: {
        gatewayClassName: waypointClass,
        listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
      },
    },
  }
}
