// The certificate authority's key and chain: where they come from, and the issuing of one leaf. The operator's own
// (Secret cacerts, Istio's layout) goes before ours (Secret wishbone-ca), which the first replica makes.

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { type IssuedCertificate, issueLeaf, selfSignedRoot, splitPem } from '@wishbone/runtime/certificates'
import { isStatus, type KubeClient, resourcePath } from '@wishbone/runtime/kube'
import { Secret as Redacted } from '@wishbone/runtime/secret'
import type { Secret } from '../kinds/index.ts'
import { watchedKinds } from '../kube/index.ts'
import { type Log, messageOf } from '../log.ts'

export interface Authority {
  /** The certificate that signs. */
  readonly certPem: string
  readonly key: Redacted<KeyObject>
  /** From the signing certificate upwards, without roots; empty if the root signs. One block per element. */
  readonly intermediates: readonly string[]
  /** All roots to trust, as one text. */
  readonly rootsPem: string
  /** The Secret it came from. */
  readonly source: string
}

const givenName = 'cacerts'
const ownName = 'wishbone-ca'
/** The names under which an authority is looked for. */
export const authoritySecrets = [givenName, ownName] as const
const tenYearsSeconds = 10 * 365 * 86_400

export interface LoadAuthorityOptions {
  readonly client: KubeClient
  readonly namespace: string
  readonly trustDomain: string
  readonly log: Log
  readonly signal: AbortSignal
}

/**
 * Reads the given authority, else our own, else makes ours. A given one that is broken is an error, not a reason for
 * another root. Rejects when the API fails; the caller tries again.
 */
export async function loadAuthority(options: LoadAuthorityOptions): Promise<Authority> {
  const found = await readAuthority(options)
  if (found !== undefined) return found
  const source = `${options.namespace}/${ownName}`
  const own = (await createOwn(options)) ?? (await read(options, ownName))
  if (own === undefined) throw new Error(`the Secret ${source} was there and is gone again`)
  return parseAuthority(own, source)
}

/** The given authority, else our own; undefined if there is neither Secret. */
export async function readAuthority(
  options: Pick<LoadAuthorityOptions, 'client' | 'namespace' | 'signal'>,
): Promise<Authority | undefined> {
  for (const name of authoritySecrets) {
    const secret = await read(options, name)
    if (secret !== undefined) return parseAuthority(secret, `${options.namespace}/${name}`)
  }
  return undefined
}

/** Throws with the Secret's name, the key and what is wrong with it. */
export function parseAuthority(secret: Secret, source: string): Authority {
  const value = (key: string): string => Buffer.from(secret.data?.[key] ?? '', 'base64').toString('utf8')
  const wrong = (key: string, cause?: unknown): never => {
    const why = cause === undefined ? '' : `: ${messageOf(cause)}`
    throw new Error(`the certificate authority in the Secret ${source} cannot be used: ${key} ${why}`.trim())
  }
  const certPem = splitPem(value('ca-cert.pem'))[0] ?? wrong('ca-cert.pem is missing or not PEM')
  const parse = <T>(key: string, make: () => T): T => {
    try {
      return make()
    } catch (cause) {
      return wrong(`${key} does not parse`, cause)
    }
  }
  const certificate = parse('ca-cert.pem', () => new X509Certificate(certPem))
  const key = parse('ca-key.pem', () => createPrivateKey(value('ca-key.pem')))
  if (!certificate.checkPrivateKey(key)) wrong('ca-key.pem is not the key of ca-cert.pem')
  if (!certificate.ca) wrong('ca-cert.pem is not a certificate authority (basicConstraints CA)')
  if (new Date(certificate.validTo) <= new Date()) wrong(`ca-cert.pem has expired on ${certificate.validTo}`)
  const selfSigned = certificate.checkIssued(certificate)
  const rootsPem =
    splitPem(value('root-cert.pem')).join('') || (selfSigned ? certPem : wrong('root-cert.pem is missing'))
  const parseAll = (name: string, text: string) =>
    parse(name, () => splitPem(text).map((pem) => ({ pem, fingerprint: new X509Certificate(pem).fingerprint256 })))
  const roots = new Set(parseAll('root-cert.pem', rootsPem).map(({ fingerprint }) => fingerprint))
  // cert-chain.pem may begin with the signing certificate or after it, and end with the root or before it.
  const chain = new Map<string, string>([[certificate.fingerprint256, certPem]])
  for (const { pem, fingerprint } of parseAll('cert-chain.pem', value('cert-chain.pem'))) chain.set(fingerprint, pem)
  const intermediates = [...chain].filter(([fingerprint]) => !roots.has(fingerprint)).map(([, pem]) => pem)
  return { certPem, key: new Redacted(key), intermediates, rootsPem, source }
}

/** A leaf for an identity or for a server; its names are ours to choose, never the request's. */
export function issue(
  authority: Authority,
  wanted: {
    readonly csrPem?: string
    readonly publicKey?: KeyObject
    readonly uriSans?: readonly string[]
    readonly dnsSans?: readonly string[]
    readonly ttlSeconds: number
  },
): IssuedCertificate {
  return issueLeaf({ ...wanted, signer: { certPem: authority.certPem, key: authority.key.reveal() } })
}

async function read(
  { client, namespace, signal }: Pick<LoadAuthorityOptions, 'client' | 'namespace' | 'signal'>,
  name: string,
): Promise<Secret | undefined> {
  try {
    return await client.get<Secret>(resourcePath(watchedKinds.secrets, namespace, name), signal)
  } catch (cause) {
    if (isStatus(cause, 404)) return undefined
    throw cause
  }
}

/** Undefined if another replica was faster: then its authority is everybody's. */
async function createOwn({
  client,
  namespace,
  trustDomain,
  log,
  signal,
}: LoadAuthorityOptions): Promise<Secret | undefined> {
  const root = selfSignedRoot({ organization: trustDomain, ttlSeconds: tenYearsSeconds })
  const encode = (text: string): string => Buffer.from(text).toString('base64')
  const body = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: ownName, namespace },
    type: 'wishbone.dev/certificate-authority',
    data: {
      'ca-cert.pem': encode(root.certPem),
      'ca-key.pem': encode(root.key.export({ type: 'pkcs8', format: 'pem' }) as string),
      'root-cert.pem': encode(root.certPem),
      'cert-chain.pem': encode(root.certPem),
    },
  }
  try {
    const made = await client.request<Secret>('POST', resourcePath(watchedKinds.secrets, namespace), { body, signal })
    log.info('made a certificate authority', { secret: `${namespace}/${ownName}`, until: root.notAfter.toISOString() })
    return made
  } catch (cause) {
    if (isStatus(cause, 409)) return undefined
    throw cause
  }
}
