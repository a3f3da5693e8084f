// BackendTLSPolicy (GEP-1897): with which names and authorities gateways speak TLS to a Service's port. Of two policies for
// one target the older one is followed.
import { l7 } from '@wishbone/proto'
import type { BackendTLSPolicy, ServicePort } from '../../kinds/index.ts'
import { no, type Verdict, yes } from '../conditions.ts'
import { type CaProblem, resolveCaCertificates } from '../gateways/ca-certificates.ts'
import { createSound } from '../sound.ts'
import { guarded, keyOf, olderFirst, type World } from '../world.ts'

export interface TranslatedBackendTlsPolicy {
  readonly object: BackendTLSPolicy
  /** Keys of the Services that it names. */
  readonly services: ReadonlySet<string>
  readonly accepted: Verdict
  readonly resolvedRefs: Verdict
}

export interface BackendTlsPolicies {
  readonly policies: readonly TranslatedBackendTlsPolicy[]
  /** Undefined: no TLS is asked for. `service`: its `<namespace>/<name>`. */
  tlsFor(service: string, port: ServicePort): l7.BackendTls | undefined
}

export function translateBackendTlsPolicies(world: World): BackendTlsPolicies {
  const byTarget = new Map<string, l7.BackendTls>()
  const policies = world.snapshot.backendTlsPolicies.toSorted(olderFirst).flatMap((object) => {
    const found = guarded(world, object, () => translatePolicy(world, object, byTarget))
    return found ? [found] : []
  })
  return {
    policies,
    tlsFor: (service, { name }) => byTarget.get(`${service}/${name ?? ''}`) ?? byTarget.get(`${service}/`),
  }
}

const reasons: Readonly<Record<CaProblem['kind'], string>> = {
  reference: 'InvalidCACertificateRef',
  kind: 'InvalidKind',
  'not-permitted': 'RefNotPermitted',
}

/** `byTarget`, by `<service key>/<port name>` ("" for all ports), has the targets of older policies and gets this one's. */
function translatePolicy(
  world: World,
  object: BackendTLSPolicy,
  byTarget: Map<string, l7.BackendTls>,
): TranslatedBackendTlsPolicy {
  const namespace = object.metadata.namespace ?? ''
  const refs = object.spec.targetRefs.filter(({ group, kind }) => group === '' && kind === 'Service')
  const targets = refs.map((ref) => `${namespace}/${ref.name}/${ref.sectionName ?? ''}`)
  const taken = targets.filter((target) => byTarget.has(target))
  const { tls, accepted, resolvedRefs } =
    guarded(world, object, () => validationOf(world, object)) ?? unreadable(object)
  for (const target of targets) if (!byTarget.has(target)) byTarget.set(target, tls)
  const absent = refs.flatMap(({ name, sectionName }) => {
    const service = world.services.get(`${namespace}/${name}`)
    const isThere = !service || !sectionName || service.spec.ports?.some((port) => port.name === sectionName)
    return isThere
      ? []
      : [`Service ${namespace}/${name} has no port ${sectionName}, so that nothing is protected there`]
  })
  const reached = accepted.status === 'True' && absent.length > 0 ? no('TargetNotFound', absent.join('; ')) : accepted
  const conflict = `an older policy is in force for ${taken.join(', ')}; remove one of them`
  return {
    object,
    services: new Set(refs.map((ref) => `${namespace}/${ref.name}`)),
    accepted: taken.length > 0 ? no('Conflicted', conflict) : reached,
    resolvedRefs,
  }
}

function validationOf(world: World, object: BackendTLSPolicy) {
  const { hostname, caCertificateRefs = [], wellKnownCACertificates, subjectAltNames = [] } = object.spec.validation
  const namespace = object.metadata.namespace ?? ''
  const { pem, problems } = resolveCaCertificates(world, { kind: 'BackendTLSPolicy', namespace }, caCertificateRefs)
  const message = problems.map((problem) => problem.message).join('; ')
  const systemCa = wellKnownCACertificates === 'System'
  const strange = subjectAltNames.filter(({ hostname: name, uri }) => !name && !uri).map(({ type }) => type)
  const accepted = (() => {
    // Without it any certificate of the hostname would do, which says less than the policy.
    if (strange.length > 0)
      return no('Invalid', `subjectAltNames of type ${strange.join(', ')} are not supported; use Hostname or URI`)
    if (pem !== '' || (systemCa && caCertificateRefs.length === 0)) return yes('Accepted')
    const unknown = `wellKnownCACertificates ${wellKnownCACertificates} is not supported; use System`
    return no('NoValidCACertificate', message || (wellKnownCACertificates ? unknown : 'it names no CA certificate'))
  })()
  const tls = createSound(l7.BackendTlsSchema, {
    hostname,
    caPem: pem,
    systemCa,
    subjectAltNames: subjectAltNames.flatMap(({ hostname: name, uri }) => name ?? uri ?? []),
    invalid: accepted.status === 'True' ? '' : invalidText(object, accepted),
  })
  const first = problems[0]
  return { tls, accepted, resolvedRefs: first ? no(reasons[first.kind], message) : yes('ResolvedRefs') }
}

/** Nothing is sent to what it is for: without TLS it would be less than the policy asks for, whatever that is. */
function unreadable(object: BackendTLSPolicy) {
  const accepted = no('Invalid', 'spec.validation can not be read, so that nothing is sent to its targets; correct it')
  const tls = createSound(l7.BackendTlsSchema, { invalid: invalidText(object, accepted) })
  return { tls, accepted, resolvedRefs: yes('ResolvedRefs') }
}

function invalidText(object: BackendTLSPolicy, { message }: Verdict): string {
  return `BackendTLSPolicy ${keyOf(object)}: ${message}`
}
