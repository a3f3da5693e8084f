// Small pieces around X.509 that node:crypto does not give: PEM blocks, subject alternative names, signatures in ASN.1 terms.
import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import { AlgorithmIdentifier, Extension, GeneralName, SubjectAlternativeName } from '@peculiar/asn1-x509'

export const oids = {
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  extensionRequest: '1.2.840.113549.1.9.14',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  ecdsaSha256: '1.2.840.10045.4.3.2',
  ecdsaSha384: '1.2.840.10045.4.3.3',
  ecdsaSha512: '1.2.840.10045.4.3.4',
  rsaSha256: '1.2.840.113549.1.1.11',
  rsaSha384: '1.2.840.113549.1.1.12',
  rsaSha512: '1.2.840.113549.1.1.13',
  ed25519: '1.3.101.112',
} as const

export interface SubjectAltNames {
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
  readonly ips: readonly string[]
}

/**
 * Parses the text that node:crypto makes of a subjectAltName (`X509Certificate.subjectAltName`): entries joined by ", ", and
 * entries with unusual characters quoted as JSON strings, so that no name can pretend to be two. Entries that do not parse are left out.
 */
export function parseSubjectAltName(text: string | undefined): SubjectAltNames {
  const names = { uris: [] as string[], dnsNames: [] as string[], ips: [] as string[] }
  let at = 0
  while (text !== undefined && at < text.length) {
    const colon = text.indexOf(':', at)
    if (colon < 0) break
    const type = text.slice(at, colon)
    let value: string
    if (text[colon + 1] === '"') {
      const close = closingQuote(text, colon + 2)
      if (close < 0) break
      value = parseQuoted(text.slice(colon + 1, close + 1))
      at = close + 3
    } else {
      const comma = text.indexOf(', ', colon)
      value = text.slice(colon + 1, comma < 0 ? text.length : comma)
      at = comma < 0 ? text.length : comma + 2
    }
    if (type === 'URI') names.uris.push(value)
    else if (type === 'DNS') names.dnsNames.push(value)
    else if (type === 'IP Address') names.ips.push(value)
  }
  return names
}

function closingQuote(text: string, from: number): number {
  for (let i = from; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '"') return i
  }
  return -1
}

function parseQuoted(text: string): string {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'string' ? value : ''
  } catch {
    return ''
  }
}

/** The extension for the names given. Critical where the subject is empty (RFC 5280 §4.2.1.6). */
export function subjectAltNameExtension(
  uris: readonly string[],
  dnsNames: readonly string[],
  critical: boolean,
  ips: readonly string[] = [],
): Extension {
  const names = [
    ...uris.map((uri) => new GeneralName({ uniformResourceIdentifier: uri })),
    ...dnsNames.map((name) => new GeneralName({ dNSName: name })),
    ...ips.map((ip) => new GeneralName({ iPAddress: ip })),
  ]
  return extension(oids.subjectAltName, new SubjectAlternativeName(names), critical)
}

/** An X.509 extension around any ASN.1 value. */
export function extension(id: string, value: unknown, critical = false): Extension {
  return new Extension({ extnID: id, critical, extnValue: new OctetString(AsnConvert.serialize(value)) })
}

/** PEM blocks of one text, each with its trailing newline. Text between blocks is dropped. */
export function splitPem(pem: string): string[] {
  const blocks = pem.match(/-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g) ?? []
  return blocks.map((block) => `${block.replace(/\r/g, '')}\n`)
}

/** DER of the first PEM block with one of the labels; throws if there is none. */
export function pemToDer(pem: string, ...labels: string[]): Uint8Array<ArrayBuffer> {
  const match = /-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]*)-----END \1-----/.exec(pem)
  if (match === null || !labels.includes(match[1]!)) throw new Error(`not a PEM block of type ${labels.join(' or ')}`)
  return new Uint8Array(Buffer.from(match[2]!, 'base64'))
}

export function derToPem(der: ArrayBuffer | Uint8Array, label: string): string {
  const base64 = Buffer.from(new Uint8Array(der)).toString('base64')
  return `-----BEGIN ${label}-----\n${base64.replace(/(.{64})(?=.)/g, '$1\n')}\n-----END ${label}-----\n`
}

/** How a key signs: SHA-256 with RSA and P-256, the curve's own size with P-384 and P-521, Ed25519 as it is. */
export function signatureAlgorithm(key: KeyObject): {
  readonly identifier: AlgorithmIdentifier
  readonly hash: string | null
} {
  const curve = key.asymmetricKeyDetails?.namedCurve
  if (key.asymmetricKeyType === 'rsa')
    return { identifier: new AlgorithmIdentifier({ algorithm: oids.rsaSha256, parameters: null }), hash: 'sha256' }
  if (key.asymmetricKeyType === 'ed25519')
    return { identifier: new AlgorithmIdentifier({ algorithm: oids.ed25519 }), hash: null }
  if (key.asymmetricKeyType === 'ec' && curve === 'prime256v1')
    return { identifier: new AlgorithmIdentifier({ algorithm: oids.ecdsaSha256 }), hash: 'sha256' }
  if (key.asymmetricKeyType === 'ec' && curve === 'secp384r1')
    return { identifier: new AlgorithmIdentifier({ algorithm: oids.ecdsaSha384 }), hash: 'sha384' }
  if (key.asymmetricKeyType === 'ec' && curve === 'secp521r1')
    return { identifier: new AlgorithmIdentifier({ algorithm: oids.ecdsaSha512 }), hash: 'sha512' }
  throw new Error(
    `keys of type ${key.asymmetricKeyType ?? key.type} ${curve ?? ''} cannot sign certificates; use RSA, P-256, P-384, P-521 or Ed25519`,
  )
}

/** Signs with the algorithm of `signatureAlgorithm`; ECDSA as DER. */
export function signBytes(bytes: ArrayBuffer, key: KeyObject): ArrayBuffer {
  const signature = sign(signatureAlgorithm(key).hash, new Uint8Array(bytes), key)
  return new Uint8Array(signature).buffer
}

const hashes: Readonly<Record<string, string | null>> = {
  [oids.ecdsaSha256]: 'sha256',
  [oids.ecdsaSha384]: 'sha384',
  [oids.ecdsaSha512]: 'sha512',
  [oids.rsaSha256]: 'sha256',
  [oids.rsaSha384]: 'sha384',
  [oids.rsaSha512]: 'sha512',
  [oids.ed25519]: null,
}

/** Whether `signature` over `bytes` was made with the private half of `key`. False for algorithms that are not accepted (SHA-1, MD5). */
export function verifyBytes(algorithm: string, bytes: ArrayBuffer, signature: ArrayBuffer, key: KeyObject): boolean {
  const hash = hashes[algorithm]
  if (hash === undefined) return false
  return verify(hash, new Uint8Array(bytes), key, new Uint8Array(signature))
}

/** A public key from its SubjectPublicKeyInfo in DER. */
export function publicKeyFromSpki(der: ArrayBuffer): KeyObject {
  return createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' })
}

export function spkiOf(key: KeyObject): Uint8Array<ArrayBuffer> {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  return new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }))
}
