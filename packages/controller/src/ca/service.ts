// IstioCertificateService/CreateCertificate, wire-exact (ambient wire §2.7): who calls, for whom, for how long; then a
// leaf. The names in the request's CSR are ignored. Errors have the texts and codes of istiod's.
import { status as grpcStatus } from '@grpc/grpc-js'
import { formatSpiffe, parseSpiffe } from '@wishbone/core/identity'
import type { ca } from '@wishbone/proto'
import { parseCsr } from '@wishbone/runtime/certificates'
import type { Caller, PodLookup, Review, TokenReviewer } from '../callers/index.ts'
import { type Log, messageOf } from '../log.ts'
import { type Authority, issue } from './authority.ts'

export interface CertificateServiceOptions {
  readonly authority: () => Authority
  readonly reviewer: Pick<TokenReviewer, 'review'>
  readonly pods: PodLookup
  readonly nodeProxyAccounts: ReadonlySet<string>
  readonly trustDomain: string
  readonly log: Log
  readonly defaultTtlSeconds?: number
  readonly maxTtlSeconds?: number
  /** Counts outcomes. */
  readonly onOutcome?: (outcome: 'issued' | 'unauthenticated' | 'invalid' | 'unavailable') => void
  /** How long a node proxy's request waits for the store to learn of a pod; milliseconds. */
  readonly patienceMs?: number
}

/** What a handler answers with when it refuses; grpc-js takes it as it is. */
export interface Refusal {
  readonly code: grpcStatus
  readonly details: string
}

export type CreateCertificate = (
  request: ca.IstioCertificateRequest,
  authorization: string | undefined,
  peer: string,
) => Promise<{ readonly certChain: readonly string[] }>

type NoCaller = Exclude<Review, { readonly kind: 'caller' }>

class RefusalError extends Error implements Refusal {
  readonly code: grpcStatus
  readonly details: string
  readonly reason: string

  constructor(code: grpcStatus, details: string, reason: string) {
    super(details)
    this.code = code
    this.details = details
    this.reason = reason
  }
}

/** The handler; it rejects with a Refusal. */
export function createCertificateHandler(options: CertificateServiceOptions): CreateCertificate {
  const { log, defaultTtlSeconds = 86_400, maxTtlSeconds = 90 * 86_400 } = options
  return async (request, authorization, peer) => {
    let caller: Caller | undefined
    try {
      caller = await authenticate(options, authorization)
      const identity = await identityFor(options, caller, request)
      const asked = Number(request.validityDuration)
      const ttlSeconds = asked > 0 ? asked : defaultTtlSeconds
      if (ttlSeconds > maxTtlSeconds) {
        const reason = `requested TTL ${ttlSeconds}s is greater than the max allowed TTL ${maxTtlSeconds}s`
        throw new RefusalError(grpcStatus.INVALID_ARGUMENT, `CSR signing error (${reason})`, reason)
      }
      const publicKey = keyOf(request.csr)
      const authority = options.authority()
      const leaf = issue(authority, { publicKey, uriSans: [identity], ttlSeconds })
      // The audit trail; no key and no token.
      log.info('issued a certificate', {
        identity,
        ...described(caller),
        peer,
        serial: leaf.serial,
        until: leaf.notAfter.toISOString(),
        key: publicKey.asymmetricKeyType,
      })
      options.onOutcome?.('issued')
      return { certChain: [leaf.pem, ...authority.intermediates, authority.rootsPem] }
    } catch (cause) {
      throw told(
        options,
        cause instanceof RefusalError
          ? cause
          : new RefusalError(grpcStatus.UNAVAILABLE, `cannot decide now: ${messageOf(cause)}`, messageOf(cause)),
        { ...(caller === undefined ? {} : described(caller)), peer },
      )
    }
  }
}

/** What a request is answered whose token is not good, or not known to be; asks nobody again. */
export function refuseCertificate(options: CertificateServiceOptions, review: NoCaller, peer: string): Refusal {
  return told(options, refusalOf(review), { peer })
}

function told(options: CertificateServiceOptions, refusal: RefusalError, who: object): RefusalError {
  options.onOutcome?.(outcomeOf(refusal.code))
  options.log.warn('refused a certificate', { reason: refusal.reason, ...who })
  return refusal
}

async function authenticate(
  { reviewer }: CertificateServiceOptions,
  authorization: string | undefined,
): Promise<Caller> {
  const review = await reviewer.review(authorization)
  if (review.kind === 'caller') return review.caller
  throw refusalOf(review)
}

function refusalOf({ kind, reason }: NoCaller): RefusalError {
  return kind === 'refused'
    ? unauthenticated('request authenticate failure', reason)
    : new RefusalError(grpcStatus.UNAVAILABLE, reason, reason)
}

/** The identity that the certificate shall carry. */
async function identityFor(
  options: CertificateServiceOptions,
  caller: Caller,
  request: ca.IstioCertificateRequest,
): Promise<string> {
  const { trustDomain, pods } = options
  const wanted = request.metadata?.['ImpersonatedIdentity']
  const pod = await pods.podOf(caller)
  if (caller.pod !== undefined && pod === undefined)
    throw unauthenticated(
      'request authenticate failure',
      'the pod of the token does not exist (any more), or runs as another account',
    )
  if (wanted === undefined || wanted === '') return formatSpiffe({ trustDomain, ...caller })
  const refuse = (reason: string): never => {
    throw unauthenticated('request impersonation authentication failure', reason)
  }
  const account = `${caller.namespace}/${caller.serviceAccount}`
  if (!options.nodeProxyAccounts.has(account)) refuse(`${account} may not ask for other identities`)
  const node = pod?.spec.nodeName
  if (pod === undefined || node === undefined || node === '')
    return refuse(`the token of ${account} is not bound to a pod on a node`)
  if (caller.node !== undefined && caller.node !== node)
    refuse(`the token is bound to the node ${caller.node}, its pod runs on ${node}`)
  const identity = typeof wanted === 'string' ? parseSpiffe(wanted) : undefined
  if (identity === undefined) return refuse('ImpersonatedIdentity is not a SPIFFE identity of a service account')
  if (identity.trustDomain !== trustDomain)
    refuse(`${formatSpiffe(identity)} is not of the trust domain ${trustDomain}`)
  const { namespace, serviceAccount } = identity
  // The node hears of a new pod from its kubelet, maybe before our watch does.
  for (let waitedMs = 0; !pods.runsOn(node, namespace, serviceAccount); waitedMs += 50) {
    if (waitedMs >= (options.patienceMs ?? 500))
      refuse(`no pod of ${namespace}/${serviceAccount} is on the node ${node}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return formatSpiffe(identity)
}

function keyOf(csrPem: string): ReturnType<typeof parseCsr>['publicKey'] {
  const refuse = (reason: string): never => {
    throw new RefusalError(grpcStatus.INVALID_ARGUMENT, `CSR signing error (${reason})`, reason)
  }
  let key: ReturnType<typeof parseCsr>['publicKey']
  try {
    key = parseCsr(csrPem).publicKey
  } catch (cause) {
    return refuse(`the certificate request does not parse: ${messageOf(cause)}`)
  }
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {}
  if (key.asymmetricKeyType === 'ec' && (namedCurve === 'prime256v1' || namedCurve === 'secp384r1')) return key
  if (key.asymmetricKeyType === 'rsa' && modulusLength !== undefined && modulusLength >= 2048 && modulusLength <= 8192)
    return key
  return refuse(
    `a key of type ${key.asymmetricKeyType} ${namedCurve ?? modulusLength ?? ''} is not accepted; use P-256 or RSA 2048`,
  )
}

function unauthenticated(details: string, reason: string): RefusalError {
  return new RefusalError(grpcStatus.UNAUTHENTICATED, details, reason)
}

function outcomeOf(code: grpcStatus): 'unauthenticated' | 'invalid' | 'unavailable' {
  if (code === grpcStatus.UNAUTHENTICATED) return 'unauthenticated'
  return code === grpcStatus.INVALID_ARGUMENT ? 'invalid' : 'unavailable'
}

function described(caller: Caller): Readonly<Record<string, string | undefined>> {
  return { caller: `${caller.namespace}/${caller.serviceAccount}`, pod: caller.pod?.name, node: caller.node }
}
