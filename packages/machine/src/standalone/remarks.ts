// What of a folder has no meaning where no pods run: told with the place of each object. Pure.
import type { KubeObject } from '../api/objects/object.ts'
import type { Service } from '../types.ts'

const workloads = ['Pod', 'Deployment', 'ReplicaSet', 'StatefulSet', 'DaemonSet', 'Job', 'CronJob']

export function remarkOn(object: KubeObject): string | undefined {
  const { kind } = object
  if (workloads.includes(kind))
    return `nothing runs a ${kind} here: start its program yourself, and name its address in an EndpointSlice of the Service`
  const { spec } = object as unknown as Partial<Service>
  if (kind === 'Service' && Object.keys(spec?.selector ?? {}).length > 0)
    return 'no pods run here that its selector could choose: take the selector out and add an EndpointSlice with the addresses'
  const { gatewayClassName = '' } = (spec ?? {}) as { readonly gatewayClassName?: string }
  if (kind === 'Gateway' && /^(wishbone|istio)-waypoint$/.test(gatewayClassName))
    return 'a waypoint has no mesh here: only Gateways of the class wishbone are served'
  return undefined
}
