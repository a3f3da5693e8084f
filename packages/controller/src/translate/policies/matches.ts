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

const known = {
  rule: ['from', 'to', 'when'],
  from: ['source'],
  to: ['operation'],
  source: [
    ...l7Source,
    'principals',
    'notPrincipals',
    'namespaces',
    'notNamespaces',
    'serviceAccounts',
    'notServiceAccounts',
    'ipBlocks',
    'notIpBlocks',
  ],
  operation: [...l7Operation, 'ports', 'notPorts'],
  when: ['key', 'values', 'notValues'],
} as const

/** Whether a policy that decides something denies, and what is to be said of that. */
export function effectOf(policy: AuthorizationPolicy): { readonly deny: boolean; readonly notes: string[] } {
  const action = policy.spec.action ?? 'ALLOW'
  // CUSTOM asks an external authorizer that does not exist here, and others nobody knows: refusing what they select is the safe reading.
  const isKnown = action === 'ALLOW' || action === 'DENY'
  const notes = isKnown ? [] : [`action ${action} is not supported: what its rules select is denied`]
  return { deny: action !== 'ALLOW', notes }
}

/** What of a rule nobody here can judge: fields of a later release, and lists that are empty, which istiod's webhook refuses. */
export function oddities(rule: Rule): readonly string[] {
  const unknown = (object: object | undefined, fields: readonly string[], path: string) =>
    Object.keys(object ?? {}).flatMap((field) => (fields.includes(field) ? [] : [`${path}${field} (unknown)`]))
  const empty = (['from', 'to'] as const).filter((field) => rule[field] !== undefined && !rule[field]?.length)
  return [
    ...unknown(rule, known.rule, ''),
    ...empty.map((field) => `${field} (an empty list)`),
    ...(rule.from ?? []).flatMap((from) => [
      ...unknown(from, known.from, 'from.'),
      ...unknown(from.source, known.source, 'from.source.'),
    ]),
    ...(rule.to ?? []).flatMap((to) => [
      ...unknown(to, known.to, 'to.'),
      ...unknown(to.operation, known.operation, 'to.operation.'),
    ]),
    ...(rule.when ?? []).flatMap((when) => unknown(when, known.when, `when[${when.key}].`)),
  ]
}

export function sourceMatch(source: Source, policyNamespace: string): PartialMatch {
  const collect = collector()
  for (const field of l7Source) if (source[field]?.length) collect.unsupported.push(`from.source.${field}`)
  const account = (text: string) => accountMatch(text, policyNamespace)
  return collect.done({
    principals: collect.all('from.source.principals', source.principals, principalMatch),
    notPrincipals: collect.all('from.source.notPrincipals', source.notPrincipals, principalMatch),
    namespaces: collect.all('from.source.namespaces', source.namespaces, stringMatch),
    notNamespaces: collect.all('from.source.notNamespaces', source.notNamespaces, stringMatch),
    serviceAccounts: collect.all('from.source.serviceAccounts', source.serviceAccounts, account),
    notServiceAccounts: collect.all('from.source.notServiceAccounts', source.notServiceAccounts, account),
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
      return collect.done({
        namespaces: collect.all(field, values, stringMatch),
        notNamespaces: collect.all(field, notValues, stringMatch),
      })
    case 'source.principal':
      return collect.done({
        principals: collect.all(field, values, principalMatch),
        notPrincipals: collect.all(field, notValues, principalMatch),
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

/**
 * "*" is presence, "x*" a prefix, "*x" a suffix. Undefined: the empty text, which nothing that is there equals, and "*x*", which
 * was meant for what contains x and would match next to nothing.
 */
export function stringMatch(text: string): security.StringMatch | undefined {
  if (text === '') return undefined
  const matchType = (() => {
    if (text === '*') return { case: 'presence', value: {} } as const
    if (text.startsWith('*') && text.endsWith('*')) return undefined
    if (text.endsWith('*')) return { case: 'prefix', value: text.slice(0, -1) } as const
    if (text.startsWith('*')) return { case: 'suffix', value: text.slice(1) } as const
    return { case: 'exact', value: text } as const
  })()
  return matchType && create(security.StringMatchSchema, { matchType })
}

/** Principals are compared without the scheme. */
function principalMatch(text: string): security.StringMatch | undefined {
  return stringMatch(text.startsWith('spiffe://') ? text.slice('spiffe://'.length) : text)
}

/** `<name>`, in the policy's namespace, or `<namespace>/<name>`; there are no patterns of these. */
function accountMatch(text: string, policyNamespace: string): security.ServiceAccountMatch | undefined {
  const parts = text.split('/')
  const [namespace, serviceAccount] = parts.length === 1 ? [policyNamespace, text] : parts
  if (parts.length > 2 || !namespace || !serviceAccount || text.includes('*')) return undefined
  return create(security.ServiceAccountMatchSchema, { namespace, serviceAccount })
}

export function cidr(text: string): security.Address | undefined {
  const parsed = parseCidr(text)
  return parsed && create(security.AddressSchema, { address: parsed.address, length: parsed.length })
}

function port(text: string): number | undefined {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0
  return number >= 1 && number <= 65_535 ? number : undefined
}
