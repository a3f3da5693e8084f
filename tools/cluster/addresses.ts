// Which addresses the Services of type LoadBalancer get. Pure: services and pool in, changes out.
import { formatIp, inCidr, parseCidr, parseIp } from '../../packages/core/src/ip/index.ts'

export interface BalancedService {
  /** "namespace/name". */
  readonly key: string
  /** The address in spec.loadBalancerIP, or in the annotation that replaces it. */
  readonly wanted?: string
  /** The address in its status, if any. */
  readonly has?: string
  /** False when it is not of type LoadBalancer, is of another class, or is being deleted. */
  readonly eligible: boolean
}

export interface Assignment {
  readonly key: string
  /** Undefined: the status loses its address. */
  readonly address?: string
  /** Why it has none. */
  readonly reason?: string
}

/**
 * The answer for every service, `services` in order of age: an address once given is kept as long as it may be; one that was
 * asked for is given only if it is in the pool and free; the others get the lowest free one. First and last address of the
 * pool are not used. Nobody gets an address that another one has.
 */
export function assign(services: readonly BalancedService[], pool: string): readonly Assignment[] {
  const taken = new Map<string, string>()
  const usable = (address: string): boolean => inPool(address, pool) && !taken.has(address)
  const answers = new Map<string, Assignment>()
  const give = (key: string, address: string): void => {
    taken.set(address, key)
    answers.set(key, { key, address })
  }
  for (const { key, eligible, has, wanted } of services)
    if (eligible && has !== undefined && (wanted === undefined || canonical(wanted) === has) && usable(has))
      give(key, has)
  for (const { key, eligible, wanted } of services) {
    if (!eligible || wanted === undefined || answers.has(key)) continue
    const address = canonical(wanted)
    if (address === undefined || !inPool(address, pool))
      answers.set(key, { key, reason: `the address asked for, ${wanted}, is not in ${pool}` })
    else if (taken.has(address)) answers.set(key, { key, reason: `${address} belongs to ${taken.get(address)}` })
    else give(key, address)
  }
  for (const { key, eligible } of services) {
    if (answers.has(key)) continue
    if (!eligible) answers.set(key, { key })
    else {
      const free = addressesOf(pool).find((address) => !taken.has(address))
      if (free === undefined) answers.set(key, { key, reason: `no address of ${pool} is free` })
      else give(key, free)
    }
  }
  return services.map(({ key }) => answers.get(key)!)
}

function canonical(text: string): string | undefined {
  const bytes = parseIp(text)
  return bytes && formatIp(bytes)
}

function inPool(address: string, pool: string): boolean {
  const bytes = parseIp(address)
  const cidr = parseCidr(pool)!
  if (bytes?.length !== 4 || !inCidr(bytes, cidr.address, cidr.length)) return false
  const offset = numberOf(bytes) - numberOf(cidr.address)
  return offset > 0 && offset < 2 ** (32 - cidr.length) - 1
}

function* addressesOf(pool: string): Generator<string> {
  const { address, length } = parseCidr(pool)!
  for (let offset = 1; offset < 2 ** (32 - length) - 1; offset++) {
    const value = numberOf(address) + offset
    yield [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
  }
}

function numberOf(bytes: Uint8Array): number {
  return bytes.reduce((value, byte) => value * 256 + byte, 0)
}
