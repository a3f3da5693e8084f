// What a listener does with TLS: ends it with which certificates, asks clients for theirs, or passes it on.
import type { l7 } from '@wishbone/proto'
import type { Gateway } from '../../kinds/index.ts'
import { no, type Verdict, yes } from '../conditions.ts'
import type { World } from '../world.ts'
import { type CaProblem, resolveCaCertificates } from './ca-certificates.ts'
import { resolveCertificate } from './certificates.ts'
import type { ListenerOwner, ListenerSpec } from './listener-spec.ts'

export interface ListenerTls {
  readonly terminates: boolean
  readonly accepted: Verdict
  readonly resolvedRefs: Verdict
  readonly certificates: readonly l7.Certificate[]
  readonly clientValidation: { readonly caPem: string; readonly insecureFallback: boolean } | undefined
}

type Validation = NonNullable<NonNullable<NonNullable<Gateway['spec']['tls']>['frontend']>['default']['validation']>

/** Of a listener with protocol HTTPS or TLS. Certificates are its owner's, the check of clients' is the Gateway's. */
export function listenerTls(world: World, gateway: Gateway, owner: ListenerOwner, spec: ListenerSpec): ListenerTls {
  const passes = spec.tls?.mode === 'Passthrough'
  if (passes && spec.protocol === 'TLS') {
    const none = { certificates: [], clientValidation: undefined }
    return { terminates: false, accepted: yes('Accepted'), resolvedRefs: yes('ResolvedRefs'), ...none }
  }
  const { resolvedRefs, certificates } = ownCertificates(world, owner, spec)
  const wanted = spec.protocol === 'HTTPS' ? validationOf(gateway, spec.port) : undefined
  const clients = wanted ? clientValidation(world, gateway, wanted) : undefined
  const accepted = passes
    ? no('UnsupportedValue', 'an HTTPS listener must end TLS; use protocol TLS to pass it on')
    : (clients?.accepted ?? yes('Accepted'))
  return {
    terminates: true,
    accepted,
    // Both may be wrong; whoever mends the first is told of the second.
    resolvedRefs: resolvedRefs.status === 'False' ? resolvedRefs : (clients?.resolvedRefs ?? resolvedRefs),
    certificates,
    clientValidation: clients?.validation,
  }
}

function ownCertificates(world: World, owner: ListenerOwner, spec: ListenerSpec) {
  const refs = spec.tls?.certificateRefs ?? []
  if (refs.length === 0) {
    const hint = `a listener that ends TLS needs tls.certificateRefs`
    return { resolvedRefs: no('InvalidCertificateRef', hint), certificates: [] }
  }
  const resolved = refs.map((ref) => resolveCertificate(world, owner, ref))
  const bad = resolved.filter((found) => found.kind === 'invalid')
  return {
    resolvedRefs: bad[0] ? no(bad[0].reason, bad.map(({ message }) => message).join('; ')) : yes('ResolvedRefs'),
    certificates: resolved.flatMap((found) => (found.kind === 'valid' ? [found.certificate] : [])),
  }
}

/** The port's own, else the default; a port may also have none of its own to be without. */
function validationOf(gateway: Gateway, port: number): Validation | undefined {
  const frontend = gateway.spec.tls?.frontend
  const ofPort = frontend?.perPort?.find((one) => one.port === port)
  return ofPort ? ofPort.tls.validation : frontend?.default.validation
}

const reasons: Readonly<Record<CaProblem['kind'], string>> = {
  reference: 'InvalidCACertificateRef',
  kind: 'InvalidCACertificateKind',
  'not-permitted': 'RefNotPermitted',
}

function clientValidation(world: World, gateway: Gateway, { caCertificateRefs, mode }: Validation) {
  const from = { kind: 'Gateway', namespace: gateway.metadata.namespace ?? '' }
  const { pem, problems } = resolveCaCertificates(world, from, caCertificateRefs)
  const first = problems[0]
  const message = problems.map((problem) => problem.message).join('; ')
  return {
    // Without an authority nobody could be checked, and serving unchecked would let everybody in.
    accepted: pem === '' ? no('NoValidCACertificate', message) : yes('Accepted'),
    resolvedRefs: first ? no(reasons[first.kind], message) : undefined,
    validation: { caPem: pem, insecureFallback: mode === 'AllowInsecureFallback' },
  }
}
