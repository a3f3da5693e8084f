// IPv4 ranges: which of a machine's addresses and routes collide with the cluster's.
import { inCidr, parseCidr, parseIp } from '../../packages/core/src/ip/index.ts'

/**
 * The entries of `used` (addresses, or destinations of routes) that lie within one of `ranges`. A wider route, such as the
 * default one or 10.0.0.0/8, is none: the cluster's own routes are more specific.
 */
export function conflictsOf(used: readonly string[], ranges: readonly string[]): readonly string[] {
  const parsed = ranges.map((range) => parseCidr(range)!)
  return [
    ...new Set(
      used.filter((entry) => {
        const [address = '', length = '32'] = entry.split('/')
        const bytes = parseIp(address)
        return (
          bytes?.length === 4 &&
          parsed.some((range) => Number(length) >= range.length && inCidr(bytes, range.address, range.length))
        )
      }),
    ),
  ]
}
