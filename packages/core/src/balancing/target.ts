// An endpoint's port and address.
import { workload as proto } from '@wishbone/proto'
import { canonicalIp, type IpBytes } from '../ip/address.ts'
import type { Endpoint } from '../mesh/types.ts'

/**
 * The port at `endpoint` behind the service's port: the endpoint's own mapping, else the service's target port, else,
 * for a workload with an application tunnel, the service's port itself. Undefined when the endpoint does not serve it.
 */
export function targetPortOf(service: proto.Service, endpoint: Endpoint, port: number): number | undefined {
  const own = endpoint.ports.get(port)
  if (own !== undefined && own !== 0) return own
  for (const candidate of service.ports)
    if (candidate.servicePort === port && candidate.targetPort !== 0) return candidate.targetPort
  return endpoint.workload.applicationTunnel === undefined ? undefined : port
}

/** Whether a connection can reach the workload: by address, by hostname, or through its network's gateway. */
export function hasAddress(workload: proto.Workload): boolean {
  return workload.addresses.length > 0 || workload.hostname !== '' || workload.networkGateway !== undefined
}

/** 4 or 6. */
export function ipKeyFamily(ip: string): 4 | 6 {
  return ip.includes(':') ? 6 : 4
}

/**
 * The workload's address to connect to: of the families that `service` allows, the one of family `prefer` if there is
 * one, else the first. Undefined when no address is left (a hostname workload, or none of an allowed family).
 */
export function addressOf(
  workload: proto.Workload,
  service: proto.Service | undefined,
  prefer: 4 | 6,
): IpBytes | undefined {
  let first: IpBytes | undefined
  for (const raw of workload.addresses) {
    const ip = canonicalIp(raw)
    const family = ip.length === 4 ? 4 : 6
    if (!allows(service, family)) continue
    if (family === prefer) return ip
    first ??= ip
  }
  return first
}

function allows(service: proto.Service | undefined, family: 4 | 6): boolean {
  if (service?.ipFamilies === proto.IPFamilies.IPV4_ONLY) return family === 4
  if (service?.ipFamilies === proto.IPFamilies.IPV6_ONLY) return family === 6
  return true
}
