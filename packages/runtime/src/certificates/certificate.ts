// One identity's certificate as the mesh uses it: chain, private key, the roots that came with it, and a TLS context made once.
import { constants, type KeyObject, X509Certificate } from 'node:crypto'
import tls from 'node:tls'
import { MeshError } from '@wishbone/core/errors'
import { parseSubjectAltName, splitPem } from './x509.ts'

/** What an authority's answer amounts to, before it is checked. */
export interface CertificateMaterial {
  readonly identity: string
  /** Leaf, then intermediates. */
  readonly chainPem: string
  readonly rootsPem: string
  readonly key: KeyObject
}

/**
 * Both TLS 1.3 suites that Istio's proxies offer (ambient wire §1.7). AES-128 first: as strong for this purpose, and 5 % more
 * throughput (docs: performance).
 */
const cipherSuites = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384'

export class WorkloadCertificate {
  readonly identity: string
  readonly chainPem: string
  readonly rootsPem: string
  readonly notBefore: Date
  readonly notAfter: Date
  /** Upper-case hexadecimal. */
  readonly serial: string
  readonly #key: KeyObject
  #context: tls.SecureContext | undefined

  /**
   * Checks that the leaf carries the identity as a URI SAN, belongs to the key, is within its time and chains to the roots.
   * Throws a MeshError `certificate-unavailable` that says which of these fails.
   */
  constructor(material: CertificateMaterial, now: Date = new Date()) {
    const leaf = checked(material, now)
    this.identity = material.identity
    this.chainPem = material.chainPem
    this.rootsPem = material.rootsPem
    this.#key = material.key
    this.notBefore = new Date(leaf.validFrom)
    this.notAfter = new Date(leaf.validTo)
    this.serial = leaf.serialNumber
  }

  get key(): KeyObject {
    return this.#key
  }

  isValidAt(now: number): boolean {
    return now < this.notAfter.getTime()
  }

  /** TLS 1.3 only, no tickets (so no resumption past a rotation), trusts only the roots that came with the certificate. */
  secureContext(): tls.SecureContext {
    this.#context ??= tls.createSecureContext({
      key: this.#key.export({ format: 'pem', type: 'pkcs8' }),
      cert: this.chainPem,
      ca: splitPem(this.rootsPem),
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
      ciphers: cipherSuites,
      secureOptions: constants.SSL_OP_NO_TICKET,
    })
    return this.#context
  }

  /** Without the key. */
  toJSON(): Record<string, string> {
    const { identity, serial } = this
    return { identity, serial, notBefore: this.notBefore.toISOString(), notAfter: this.notAfter.toISOString() }
  }
}

function checked(material: CertificateMaterial, now: Date): X509Certificate {
  const { identity } = material
  const fail = (what: string): never => {
    throw new MeshError('certificate-unavailable', `the certificate issued for ${identity} ${what}`, {
      at: 'upstream',
      retry: 'yes',
    })
  }
  const chain = parseAll(material.chainPem) ?? fail('does not parse')
  const roots = parseAll(material.rootsPem) ?? fail('came with roots that do not parse')
  const leaf = chain[0] ?? fail('is empty')
  if (roots.length === 0) fail('came without a root')
  const { uris } = parseSubjectAltName(leaf.subjectAltName)
  if (!uris.includes(identity)) fail(`is for ${uris.join(', ') || 'nobody'} instead`)
  if (!leaf.checkPrivateKey(material.key)) fail('is for another key')
  if (new Date(leaf.validTo) <= now)
    fail(`has expired on ${leaf.validTo}; check the clock of this node and of the authority`)
  if (!chainsTo(chain, roots)) fail('does not chain to the roots that came with it')
  return leaf
}

function parseAll(pem: string): X509Certificate[] | undefined {
  try {
    return splitPem(pem).map((block) => new X509Certificate(block))
  } catch {
    return undefined
  }
}

function chainsTo(chain: readonly X509Certificate[], roots: readonly X509Certificate[]): boolean {
  let current = chain[0]!
  for (let depth = 0; depth < 10; depth++) {
    if (roots.some((root) => root.fingerprint256 === current.fingerprint256 || isIssuer(root, current))) return true
    const issuer = chain.find((one) => one.fingerprint256 !== current.fingerprint256 && isIssuer(one, current))
    if (issuer === undefined) return false
    current = issuer
  }
  return false
}

function isIssuer(issuer: X509Certificate, subject: X509Certificate): boolean {
  return issuer.ca && subject.checkIssued(issuer) && subject.verify(issuer.publicKey)
}
