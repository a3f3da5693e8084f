// The addresses of a service as DNS answers (ambient wire §4.8). Pure.
import { canonicalIp, formatIp } from '@wishbone/core/ip'
import type { Endpoint, Service } from '@wishbone/core/mesh'
import { workload as proto } from '@wishbone/proto'
import type { Answer, Question } from 'dns-packet'
import type { NamedService } from './names.ts'

export const answerTtlSeconds = 30

/**
 * The records for an A or AAAA question; undefined: leave it to the cluster's DNS (a headless service without endpoints).
 * No address of the family is an answer without records.
 */
export function answersFor(
  question: Question,
  found: NamedService,
  endpoints: readonly Endpoint[],
  network: string,
  random: () => number,
): readonly Answer[] | undefined {
  const { service, canonicalName } = found
  const addresses = addressesOf(service, endpoints, network)
  if (addresses.length === 0) return undefined
  const family = question.type === 'A' ? 4 : 16
  const chosen = allows(service, family)
    ? shuffled(
        addresses.filter((ip) => ip.length === family),
        random,
      )
    : []
  const answers: Answer[] = []
  const name = canonicalName ?? question.name
  if (canonicalName !== undefined)
    answers.push({ type: 'CNAME', name: question.name, ttl: answerTtlSeconds, data: canonicalName })
  for (const ip of chosen) answers.push({ type: question.type, name, ttl: answerTtlSeconds, data: formatIp(ip) })
  return answers
}

function addressesOf(service: Service, endpoints: readonly Endpoint[], network: string): readonly Uint8Array[] {
  const ips = service.addresses
    .filter((one) => one.network === network && one.length === undefined)
    .map((one) => one.address)
  if (service.addresses.length > 0) return ips.map(canonicalIp)
  return endpoints.flatMap((one) => (one.workload.network === network ? one.workload.addresses : [])).map(canonicalIp)
}

function allows(service: Service, family: 4 | 16): boolean {
  if (service.ipFamilies === proto.IPFamilies.IPV4_ONLY) return family === 4
  if (service.ipFamilies === proto.IPFamilies.IPV6_ONLY) return family === 16
  return true
}

function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  const result = [...items]
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    const other = result[i]!
    result[i] = result[j]!
    result[j] = other
  }
  return result
}
