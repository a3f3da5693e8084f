// AuthorizationPolicy to wishbone.l7.v1.RequestPolicy: as written, for waypoints, which see requests. What is never known
// there (a token's claims: RequestAuthentication is not read) is named, and handled as layer 4 handles what it can't judge.
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { l7, security } from '@wishbone/proto'
import type { AuthorizationPolicy } from '../../kinds/index.ts'
import { annotations } from '../names.ts'
import { createSound } from '../sound.ts'
import {
  cidr,
  collector,
  effectOf,
  l7Operation,
  l7Source,
  type Operation,
  oddities,
  operationMatch,
  type PartialMatch,
  type Source,
  sourceMatch,
  stringMatch,
  type When,
  whenMatch,
} from './matches.ts'

type PolicyRule = NonNullable<AuthorizationPolicy['spec']['rules']>[number]
type MatchInit = MessageInitShape<typeof l7.PolicyMatchSchema>

interface RequestMatch {
  readonly match: MatchInit
  readonly empty: boolean
  readonly unsupported: readonly string[]
}

export interface ConvertedRequestPolicy {
  /** Undefined: the policy says nothing of requests, and its Authorization is all there is. */
  readonly message: l7.RequestPolicy | undefined
  /** What is not enforced as written, one sentence each. */
  readonly notes: readonly string[]
}

/** `policy.spec.action` is not AUDIT. */
export function requestPolicy(policy: AuthorizationPolicy): ConvertedRequestPolicy {
  const { deny, notes } = effectOf(policy)
  const rules: MessageInitShape<typeof l7.RequestRuleSchema>[] = []
  for (const [index, rule] of (policy.spec.rules ?? []).entries()) {
    const clauses = clausesOf(rule, policy.metadata.namespace ?? '')
    const unsupported = [...new Set([...oddities(rule), ...clauses.flat().flatMap((match) => match.unsupported)])]
    if (unsupported.length > 0) {
      const effect = deny ? 'were left out, so that it denies more than written' : 'make it allow nothing'
      notes.push(`rule ${index}: ${unsupported.join(', ')} can't be judged and ${effect}`)
      if (!deny) continue
    }
    const kept = deny ? clauses.filter((matches) => matches.every(({ empty }) => !empty)) : clauses
    rules.push({ clauses: kept.map((matches) => ({ matches: matches.map(({ match }) => match) })) })
  }
  if (!(policy.spec.rules ?? []).some(speaksOfRequests)) return { message: undefined, notes }
  const { name, namespace = '', generation = 0 } = policy.metadata
  const message = createSound(l7.RequestPolicySchema, {
    name: `${namespace}/${name}`,
    source: { kind: 'AuthorizationPolicy', namespace, name, generation: BigInt(generation) },
    action: deny ? security.Action.DENY : security.Action.ALLOW,
    dryRun: policy.metadata.annotations?.[annotations.dryRun] === 'true',
    rules,
  })
  return { message, notes }
}

function speaksOfRequests({ from, to, when }: PolicyRule): boolean {
  return (
    (from ?? []).some(({ source }) => l7Source.some((field) => source?.[field]?.length)) ||
    (to ?? []).some(({ operation }) => l7Operation.some((field) => operation?.[field]?.length)) ||
    (when ?? []).some(({ key }) => requestKey(key))
  )
}

/** Clause 1: all `to`; clause 2: all `from`; then one for each `when`. */
function clausesOf(rule: PolicyRule, namespace: string): readonly (readonly RequestMatch[])[] {
  const clauses: RequestMatch[][] = []
  if (rule.to?.length) clauses.push(rule.to.map(({ operation }) => requestOperation(operation ?? {})))
  if (rule.from?.length) clauses.push(rule.from.map(({ source }) => requestSource(source ?? {}, namespace)))
  for (const when of rule.when ?? []) clauses.push([requestWhen(when)])
  return clauses
}

function requestOperation(operation: Operation): RequestMatch {
  const collect = collector()
  const texts = (field: (typeof l7Operation)[number], values = operation[field]) =>
    collect.all(`to.operation.${field}`, values, stringMatch)
  const paths = (field: 'paths' | 'notPaths') => {
    const templates = operation[field]?.filter((path) => /\{\*{1,2}\}/.test(path)) ?? []
    if (templates.length === 0) return texts(field)
    collect.unsupported.push(`to.operation.${field} (templates: ${templates.join(', ')})`)
    return []
  }
  const hosts = (field: 'hosts' | 'notHosts') =>
    texts(
      field,
      operation[field]?.map((host) => host.toLowerCase()),
    )
  return withConnection(operationMatch({ ports: operation.ports ?? [], notPorts: operation.notPorts ?? [] }), {
    init: {
      methods: texts('methods'),
      notMethods: texts('notMethods'),
      paths: paths('paths'),
      notPaths: paths('notPaths'),
      hosts: hosts('hosts'),
      notHosts: hosts('notHosts'),
    },
    unsupported: collect.unsupported,
  })
}

function requestSource(source: Source, namespace: string): RequestMatch {
  const { remoteIpBlocks, notRemoteIpBlocks, trustDomains, notTrustDomains, ...rest } = source
  const collect = collector()
  return withConnection(sourceMatch(rest, namespace), {
    init: {
      remoteIps: collect.all('from.source.remoteIpBlocks', remoteIpBlocks, cidr),
      notRemoteIps: collect.all('from.source.notRemoteIpBlocks', notRemoteIpBlocks, cidr),
      trustDomains: collect.all('from.source.trustDomains', trustDomains, stringMatch),
      notTrustDomains: collect.all('from.source.notTrustDomains', notTrustDomains, stringMatch),
    },
    unsupported: collect.unsupported,
  })
}

const pseudoHeaders: ReadonlySet<string> = new Set([':authority', ':method'])

function requestWhen(when: When): RequestMatch {
  const { key, values, notValues } = when
  const header = requestKey(key) === 'header' ? /^request\.headers\[([^\]]+)\]$/.exec(key)?.[1] : undefined
  if (header !== undefined) {
    // There is no such field in HTTP/1; host and method are known of every request.
    if (header.startsWith(':') && !pseudoHeaders.has(header))
      return { match: {}, empty: true, unsupported: [`when[${key}]`] }
    const { all, unsupported } = collector()
    const texts = (from: readonly string[] | undefined) => all(`when[${key}]`, from, headerText)
    const condition = { name: header.toLowerCase(), values: texts(values), notValues: texts(notValues) }
    const isSilent = condition.values.length + condition.notValues.length === 0
    if (!isSilent) return { match: { headers: [condition] }, empty: false, unsupported }
    // It would hold for every request.
    return { match: {}, empty: true, unsupported: unsupported.length > 0 ? unsupported : [`when[${key}] (no values)`] }
  }
  if (requestKey(key) !== 'remote.ip') return withConnection(whenMatch(when), { init: {}, unsupported: [] })
  const collect = collector()
  const remoteIps = collect.all('when[remote.ip]', values, cidr)
  const notRemoteIps = collect.all('when[remote.ip]', notValues, cidr)
  return {
    match: { remoteIps, notRemoteIps },
    empty: remoteIps.length + notRemoteIps.length === 0,
    unsupported: collect.unsupported,
  }
}

/** Unlike what else is matched, a header may be empty. */
function headerText(value: string): security.StringMatch | undefined {
  if (value !== '') return stringMatch(value)
  return create(security.StringMatchSchema, { matchType: { case: 'exact', value: '' } })
}

/** Which key of `when` only a request can answer; undefined: layer 4's, or nobody's. */
function requestKey(key: string): 'header' | 'remote.ip' | undefined {
  if (key === 'remote.ip') return 'remote.ip'
  return /^request\.headers\[[^\]]+\]$/.test(key) ? 'header' : undefined
}

function withConnection(
  connection: PartialMatch,
  { init, unsupported }: { readonly init: MatchInit; readonly unsupported: readonly string[] },
): RequestMatch {
  const match = create(l7.PolicyMatchSchema, connection.empty ? init : { ...init, connection: connection.match })
  const silent = Object.values(match).every((value) => !Array.isArray(value) || value.length === 0)
  return {
    match,
    empty: connection.empty && silent,
    unsupported: [...connection.unsupported, ...unsupported],
  }
}
