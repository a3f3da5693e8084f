// Issues certificates: the mesh's own root, workloads' leaves, and servers' leaves. Used by the controller's authority and by tests.
import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  X509Certificate,
} from 'node:crypto'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  type Extension,
  Extensions,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
} from '@peculiar/asn1-x509'
import { parseCsr } from './csr.ts'
import { derToPem, extension, oids, signatureAlgorithm, signBytes, spkiOf, subjectAltNameExtension } from './x509.ts'

/** Whoever signs: its own certificate (of which the first PEM block counts) and private key. */
export interface Signer {
  readonly certPem: string
  readonly key: KeyObject
}

export interface SelfSignedRootOptions {
  /** Organization of the subject: the trust domain. */
  readonly organization: string
  readonly ttlSeconds: number
  readonly now?: Date
  /** Default: a new P-256 key. */
  readonly key?: KeyObject
}

export interface IssueLeafOptions {
  /** The key to certify: a request (only its key is taken; its names are not) or the key itself. */
  readonly csrPem?: string
  readonly publicKey?: KeyObject
  readonly uriSans?: readonly string[]
  readonly dnsSans?: readonly string[]
  readonly ipSans?: readonly string[]
  /** Default: an empty subject, as in SPIFFE. Kubernetes reads the user from the common name, its group from the organization. */
  readonly subject?: { readonly commonName: string; readonly organization?: string }
  readonly ttlSeconds: number
  readonly signer: Signer
  readonly now?: Date
}

export interface IssuedCertificate {
  readonly pem: string
  readonly notBefore: Date
  readonly notAfter: Date
  /** Upper-case hexadecimal. */
  readonly serial: string
}

/** Clocks in a cluster differ; Istio allows for two minutes (ambient wire §2.7). */
const clockSkewMs = 2 * 60_000

/** A new root: its certificate and private key. */
export function selfSignedRoot(options: SelfSignedRootOptions): Signer & IssuedCertificate {
  const key = options.key ?? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const now = options.now ?? new Date()
  const name = organization(options.organization)
  const issued = build({
    publicKey: createPublicKey(key),
    signingKey: key,
    subject: name,
    issuer: name,
    issuerKeyId: keyId(createPublicKey(key)),
    notBefore: new Date(now.getTime() - clockSkewMs),
    notAfter: new Date(now.getTime() + options.ttlSeconds * 1000),
    extensions: authorityExtensions(),
  })
  return { ...issued, certPem: issued.pem, key }
}

/** An authority below another one, for `cacerts` with intermediates. */
export function issueIntermediate(
  options: SelfSignedRootOptions & { readonly signer: Signer },
): Signer & IssuedCertificate {
  const key = options.key ?? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const issued = signedBy(options, createPublicKey(key), organization(options.organization), authorityExtensions())
  return { ...issued, certPem: issued.pem, key }
}

/**
 * A leaf for servers and clients both: digitalSignature and keyEncipherment, SANs critical if there is no subject. It never outlives its
 * signer. Throws when the request is malformed or the signer has expired.
 */
export function issueLeaf(options: IssueLeafOptions): IssuedCertificate {
  const publicKey = options.publicKey ?? parseCsr(options.csrPem ?? '').publicKey
  checkStrength(publicKey)
  const { subject, uriSans = [], dnsSans = [], ipSans = [] } = options
  const named = uriSans.length + dnsSans.length + ipSans.length > 0
  return signedBy(options, publicKey, subject === undefined ? new Name() : personName(subject), [
    keyUsage(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment),
    extension(oids.extendedKeyUsage, new ExtendedKeyUsage([oids.serverAuth, oids.clientAuth])),
    extension(oids.basicConstraints, new BasicConstraints({ cA: false }), true),
    ...(named || subject === undefined
      ? [subjectAltNameExtension(uriSans, dnsSans, subject === undefined, ipSans)]
      : []),
  ])
}

function signedBy(
  options: { readonly signer: Signer; readonly ttlSeconds: number; readonly now?: Date },
  publicKey: KeyObject,
  subject: Name,
  extensions: readonly Extension[],
): IssuedCertificate {
  const signer = new X509Certificate(options.signer.certPem)
  const now = options.now ?? new Date()
  const signerEnd = new Date(signer.validTo)
  if (signerEnd <= now) throw new Error(`the signing certificate has expired on ${signer.validTo}; replace it`)
  const parsed = AsnConvert.parse(signer.raw, Certificate)
  const wanted = new Date(now.getTime() + options.ttlSeconds * 1000)
  return build({
    publicKey,
    signingKey: options.signer.key,
    subject,
    issuer: parsed.tbsCertificate.subject,
    issuerKeyId: subjectKeyId(parsed) ?? keyId(signer.publicKey),
    notBefore: new Date(now.getTime() - clockSkewMs),
    notAfter: wanted < signerEnd ? wanted : signerEnd,
    extensions,
  })
}

interface Parts {
  readonly publicKey: KeyObject
  readonly signingKey: KeyObject
  readonly subject: Name
  readonly issuer: Name
  readonly issuerKeyId: Buffer
  readonly notBefore: Date
  readonly notAfter: Date
  readonly extensions: readonly Extension[]
}

function build(parts: Parts): IssuedCertificate {
  const { identifier } = signatureAlgorithm(parts.signingKey)
  const serial = randomBytes(16)
  serial[0] = (serial[0]! & 0x7f) | 0x40 // positive, and always 16 octets
  const tbs = new TBSCertificate({
    version: 2,
    serialNumber: new Uint8Array(serial).buffer,
    signature: identifier,
    issuer: parts.issuer,
    validity: new Validity({ notBefore: wholeSeconds(parts.notBefore), notAfter: wholeSeconds(parts.notAfter) }),
    subject: parts.subject,
    subjectPublicKeyInfo: AsnConvert.parse(spkiOf(parts.publicKey), SubjectPublicKeyInfo),
    extensions: new Extensions([
      ...parts.extensions,
      extension(oids.subjectKeyIdentifier, new SubjectKeyIdentifier(new Uint8Array(keyId(parts.publicKey)))),
      extension(
        oids.authorityKeyIdentifier,
        new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(new Uint8Array(parts.issuerKeyId)) }),
      ),
    ]),
  })
  const certificate = new Certificate({
    tbsCertificate: tbs,
    signatureAlgorithm: identifier,
    signatureValue: signBytes(AsnConvert.serialize(tbs), parts.signingKey),
  })
  return {
    pem: derToPem(AsnConvert.serialize(certificate), 'CERTIFICATE'),
    notBefore: wholeSeconds(parts.notBefore),
    notAfter: wholeSeconds(parts.notAfter),
    serial: serial.toString('hex').toUpperCase(),
  }
}

function authorityExtensions(): readonly Extension[] {
  return [
    keyUsage(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign),
    extension(oids.basicConstraints, new BasicConstraints({ cA: true }), true),
  ]
}

function keyUsage(flags: number): Extension {
  return extension(oids.keyUsage, new KeyUsage(flags), true)
}

function organization(text: string): Name {
  return new Name([part(oids.organization, text)])
}

function personName(subject: NonNullable<IssueLeafOptions['subject']>): Name {
  const group = subject.organization === undefined ? [] : [part(oids.organization, subject.organization)]
  return new Name([...group, part(oids.commonName, subject.commonName)])
}

function part(type: string, text: string): RelativeDistinguishedName {
  const value = new AttributeValue({ utf8String: text })
  return new RelativeDistinguishedName([new AttributeTypeAndValue({ type, value })])
}

/** RFC 7093 §2 method 1 would do as well; any stable value identifies a key. */
function keyId(key: KeyObject): Buffer {
  return createHash('sha256').update(spkiOf(key)).digest().subarray(0, 20)
}

function subjectKeyId(certificate: Certificate): Buffer | undefined {
  const found = certificate.tbsCertificate.extensions?.find((one) => one.extnID === oids.subjectKeyIdentifier)
  return found && Buffer.from(AsnConvert.parse(found.extnValue.buffer, OctetString).buffer)
}

function checkStrength(key: KeyObject): void {
  const bits = key.asymmetricKeyDetails?.modulusLength
  if (key.asymmetricKeyType === 'rsa' && (bits ?? 0) < 2048)
    throw new Error(`an RSA key of ${bits} bits is too short; use 2048 or more`)
  if (key.asymmetricKeyType !== 'rsa' && key.asymmetricKeyType !== 'ec' && key.asymmetricKeyType !== 'ed25519') {
    throw new Error(`keys of type ${key.asymmetricKeyType} are not accepted`)
  }
}

function wholeSeconds(date: Date): Date {
  return new Date(Math.floor(date.getTime() / 1000) * 1000)
}
