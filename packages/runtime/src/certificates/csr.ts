// Certificate signing requests (RFC 2986): the workload's side makes them, the authority's side reads them.
import { generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { Attributes, CertificationRequest, CertificationRequestInfo } from '@peculiar/asn1-csr'
import { AsnConvert } from '@peculiar/asn1-schema'
import { Attribute, Extensions, Name, SubjectAlternativeName, SubjectPublicKeyInfo } from '@peculiar/asn1-x509'
import {
  derToPem,
  oids,
  pemToDer,
  publicKeyFromSpki,
  signatureAlgorithm,
  signBytes,
  spkiOf,
  subjectAltNameExtension,
  verifyBytes,
} from './x509.ts'

const generate = promisify(generateKeyPair)

/** What a request asks for. Its signature has been checked: the sender holds the private key. */
export interface ParsedCsr {
  readonly publicKey: KeyObject
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
}

/** A new P-256 key and a request with an empty subject and the identity as critical URI SAN (ambient wire §2.7). */
export async function createCsr(identity: string): Promise<{ readonly csrPem: string; readonly key: KeyObject }> {
  const { privateKey } = await generate('ec', { namedCurve: 'P-256' })
  return { csrPem: csrFor(privateKey, identity), key: privateKey }
}

function csrFor(key: KeyObject, identity: string): string {
  const wanted = new Extensions([subjectAltNameExtension([identity], [], true)])
  const info = new CertificationRequestInfo({
    version: 0,
    subject: new Name(),
    subjectPKInfo: AsnConvert.parse(spkiOf(key), SubjectPublicKeyInfo),
    attributes: new Attributes([
      new Attribute({ type: oids.extensionRequest, values: [AsnConvert.serialize(wanted)] }),
    ]),
  })
  const request = new CertificationRequest({
    certificationRequestInfo: info,
    signatureAlgorithm: signatureAlgorithm(key).identifier,
    signature: signBytes(AsnConvert.serialize(info), key),
  })
  return derToPem(AsnConvert.serialize(request), 'CERTIFICATE REQUEST')
}

/** Parses a request and checks its signature. Throws with a reason on anything malformed or wrongly signed. */
export function parseCsr(pem: string): ParsedCsr {
  if (pem.length > 65_536) throw new Error('the certificate request is larger than 64 KiB')
  const request = AsnConvert.parse(
    pemToDer(pem, 'CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST'),
    CertificationRequest,
  )
  const info = request.certificationRequestInfo
  const publicKey = publicKeyFromSpki(AsnConvert.serialize(info.subjectPKInfo))
  const signed = request.certificationRequestInfoRaw ?? AsnConvert.serialize(info)
  if (!verifyBytes(request.signatureAlgorithm.algorithm, signed, request.signature, publicKey)) {
    throw new Error('the signature of the certificate request does not match its public key')
  }
  const uris: string[] = []
  const dnsNames: string[] = []
  for (const attribute of info.attributes ?? []) {
    if (attribute.type !== oids.extensionRequest || attribute.values[0] === undefined) continue
    for (const wanted of AsnConvert.parse(attribute.values[0], Extensions)) {
      if (wanted.extnID !== oids.subjectAltName) continue
      for (const name of AsnConvert.parse(wanted.extnValue.buffer, SubjectAlternativeName)) {
        if (name.uniformResourceIdentifier !== undefined) uris.push(name.uniformResourceIdentifier)
        if (name.dNSName !== undefined) dnsNames.push(name.dNSName)
      }
    }
  }
  return { publicKey, uris, dnsNames }
}
