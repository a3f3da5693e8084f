// The fields of an AuthorizationPolicy as matches of istio.security.Authorization (ambient wire
// §2.5, §4.4). A field or value that layer 4 can't judge is named, never ignored.
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { parseCidr } from '@wishbone/core/ip'
import { security } from '@wishbone/proto'
import type { AuthorizationPolicy } from '../../kinds/index.ts'

type Rule = NonNullable<AuthorizationPolicy['spec']['rules']>[number]
export type Source = NonNullable<NonNullable<Rule['from']>[number]['source']>
export type Operation = NonNullable<NonNullable<Rule['to']>[number]['operation']>
export type When = NonNullable<Rule['when']>[number]
type MatchInit = MessageInitShape<typeof security.MatchSchema>

/** `unsupported`: fields that were left out of the match, as the user wrote them. */
export interface PartialMatch {
  readonly match: security.Match
  /** Nothing is left in it. */
  readonly empty: boolean
  readonly unsupported: readonly string[]
}

export const l7Source = [
  'remoteIpBlocks',
  'notRemoteIpBlocks',
  'requestPrincipals',
  'notRequestPrincipals',
  'trustDomains',
  'notTrustDomains',
] as const
export const l7Operation = ['hosts', 'notHosts', 'methods', 'notMethods', 'paths', 'notPaths'] as const

export function sourceMatch(source: Source, policyNamespace: string): PartialMatch {
  const collect = collector()
  for (const field of l7Source) if (source[field]?.length) collect.unsupported.push(`from.source.${field}`)
  const accounts = (values: readonly string[] | undefined) =>
    (values ?? []).map((value) => account(value, policyNamespace))
  return collect.done({
    principals: strings(source.principals?.map(principal)),
    notPrincipals: strings(source.notPrincipals?.map(principal)),
    namespaces: strings(source.namespaces),
    notNamespaces: strings(source.notNamespaces),
    serviceAccounts: accounts(source.serviceAccounts),
    notServiceAccounts: accounts(source.notServiceAccounts),
    sourceIps: collect.all('from.source.ipBlocks', source.ipBlocks, cidr),
    notSourceIps: collect.all('from.source.notIpBlocks', source.notIpBlocks, cidr),
  })
}

export function operationMatch(operation: Operation): PartialMatch {
  const collect = collector()
  for (const field of l7Operation) if (operation[field]?.length) collect.unsupported.push(`to.operation.${field}`)
  return collect.done({
    destinationPorts: collect.all('to.operation.ports', operation.ports, port),
    notDestinationPorts: collect.all('to.operation.notPorts', operation.notPorts, port),
  })
}

export function whenMatch({ key, values, notValues }: When): PartialMatch {
  const collect = collector()
  const field = `when[${key}]`
  switch (key) {
    case 'source.ip':
      return collect.done({
        sourceIps: collect.all(field, values, cidr),
        notSourceIps: collect.all(field, notValues, cidr),
      })
    case 'source.namespace':
      return collect.done({ namespaces: strings(values), notNamespaces: strings(notValues) })
    case 'source.principal':
      return collect.done({
        principals: strings(values?.map(principal)),
        notPrincipals: strings(notValues?.map(principal)),
      })
    case 'destination.ip':
      return collect.done({
        destinationIps: collect.all(field, values, cidr),
        notDestinationIps: collect.all(field, notValues, cidr),
      })
    case 'destination.port':
      return collect.done({
        destinationPorts: collect.all(field, values, port),
        notDestinationPorts: collect.all(field, notValues, port),
      })
    default:
      collect.unsupported.push(field)
      return collect.done({})
  }
}

export function collector() {
  const unsupported: string[] = []
  return {
    unsupported,
    all<T>(field: string, values: readonly string[] | undefined, parse: (text: string) => T | undefined): T[] {
      const parsed = (values ?? []).map(parse)
      const malformed = (values ?? []).filter((_, index) => parsed[index] === undefined)
      if (malformed.length === 0) return parsed as T[]
      // Without the whole field a DENY only gets broader; an ALLOW's rule is dropped for it.
      unsupported.push(`${field} (malformed: ${malformed.join(', ')})`)
      return []
    },
    done(init: MatchInit): PartialMatch {
      const match = create(security.MatchSchema, init)
      const empty = Object.values(match).every((value) => !Array.isArray(value) || value.length === 0)
      return { match, empty, unsupported }
    },
  }
}

/** "*" is presence, "x*" a prefix, "*x" a suffix. */
export function stringMatch(text: string): security.StringMatch {
  const matchType = (() => {
    if (text === '*') return { case: 'presence', value: {} } as const
    if (text.endsWith('*')) return { case: 'prefix', value: text.slice(0, -1) } as const
    if (text.startsWith('*')) return { case: 'suffix', value: text.slice(1) } as const
    return { case: 'exact', value: text } as const
  })()
  return create(security.StringMatchSchema, { matchType })
}

export function strings(values: readonly string[] | undefined): security.StringMatch[] {
  return (values ?? []).map(stringMatch)
}

/** Principals are compared without the scheme. */
function principal(text: string): string {
  return text.startsWith('spiffe://') ? text.slice('spiffe://'.length) : text
}

function account(text: string, policyNamespace: string): security.ServiceAccountMatch {
  const slash = text.indexOf('/')
  return create(security.ServiceAccountMatchSchema, {
    namespace: slash < 0 ? policyNamespace : text.slice(0, slash),
    serviceAccount: text.slice(slash + 1),
  })
}

export function cidr(text: string): security.Address | undefined {
  const parsed = parseCidr(text)
  return parsed && create(security.AddressSchema, { address: parsed.address, length: parsed.length })
}

function port(text: string): number | undefined {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0
  return number >= 1 && number <= 65_535 ? number : undefined
}
