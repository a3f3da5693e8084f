// What an Address must look like to be taken into the state.
import { workload as proto } from '@wishbone/proto'
import type { NetworkAddress, Service, Workload } from './types.ts'

/** The first thing that is wrong with a workload, in words. */
export function validateWorkload(workload: Workload): string | undefined {
  if (workload.uid === '') return 'the workload has no uid'
  for (const address of workload.addresses)
    if (!isIp(address)) return `an address of ${address.length} bytes (4 or 16 are wanted)`
  const tunnel = workload.tunnelProtocol
  if (tunnel !== proto.TunnelProtocol.NONE && tunnel !== proto.TunnelProtocol.HBONE)
    return `the tunnel protocol ${tunnel} is not supported`
  return undefined
}

/** The first thing that is wrong with a service, in words. */
export function validateService(service: Service): string | undefined {
  if (service.hostname === '' || service.namespace === '') return 'the service has no namespace or no hostname'
  for (const address of service.addresses) {
    const problem = validateNetworkAddress(address)
    if (problem !== undefined) return problem
  }
  return undefined
}

function validateNetworkAddress({ address, length }: NetworkAddress): string | undefined {
  if (!isIp(address)) return `an address of ${address.length} bytes (4 or 16 are wanted)`
  if (length !== undefined && length > address.length * 8)
    return `a prefix length of ${length} for ${address.length * 8} bits`
  return undefined
}

function isIp(address: Uint8Array): boolean {
  return address.length === 4 || address.length === 16
}
