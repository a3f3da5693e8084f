// Certificates that listeners refer to: resolved, granted and readable, or why not.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { l7 } from '@wishbone/proto'
import type { Secret } from '../../kinds/index.ts'
import { generationOf } from '../conditions.ts'
import { mayRefer } from '../grants.ts'
import { gatewayGroup } from '../names.ts'
import { createSound } from '../sound.ts'
import type { World } from '../world.ts'
import { certificatesIn, isCutOff } from './ca-certificates.ts'
import type { ListenerOwner } from './listener-spec.ts'

export interface SecretReference {
  readonly group?: string
  readonly kind?: string
  readonly name: string
  readonly namespace?: string
}

export type ResolvedCertificate =
  | { readonly kind: 'valid'; readonly certificate: l7.Certificate }
  | { readonly kind: 'invalid'; readonly reason: 'InvalidCertificateRef' | 'RefNotPermitted'; readonly message: string }

/** A reference that is not permitted says so whether or not the Secret exists. */
export function resolveCertificate(world: World, owner: ListenerOwner, ref: SecretReference): ResolvedCertificate {
  const from = owner.metadata.namespace ?? ''
  const namespace = ref.namespace ?? from
  const what = `${ref.kind ?? 'Secret'} ${namespace}/${ref.name}`
  const invalid = (message: string): ResolvedCertificate => ({
    kind: 'invalid',
    reason: 'InvalidCertificateRef',
    message,
  })
  if ((ref.group ?? '') !== '' || (ref.kind ?? 'Secret') !== 'Secret') {
    return invalid(`${what}: only Secrets of the core group hold certificates`)
  }
  const to = { group: '', kind: 'Secret', namespace, name: ref.name }
  if (!mayRefer(world, { group: gatewayGroup, kind: owner.kind, namespace: from }, to)) {
    const hint = `create a ReferenceGrant in ${namespace} from ${owner.kind}s of ${from} to Secrets`
    return { kind: 'invalid', reason: 'RefNotPermitted', message: `${what} is in another namespace; ${hint}` }
  }
  const secret = world.secrets.get(`${namespace}/${ref.name}`)
  // Only Secrets of that type are read: another's type cannot be told from absence.
  if (!secret) return invalid(`${what} does not exist, or is not of type kubernetes.io/tls`)
  const problem = secretProblem(secret)
  if (problem) return invalid(`${what} ${problem}`)
  const certificate = createSound(l7.CertificateSchema, {
    name: `${namespace}/${ref.name}`,
    source: { kind: 'Secret', namespace, name: ref.name, generation: BigInt(generationOf(secret)) },
    chainPem: decode(secret, 'tls.crt'),
    keyPem: decode(secret, 'tls.key'),
  })
  return { kind: 'valid', certificate }
}

/** OpenSSL's security level 2, which Node has, takes no smaller ones. */
const minRsaBits = 2048

/** What is wrong with a kubernetes.io/tls Secret, in words after its name; the key is never part of them. */
function secretProblem(secret: Secret): string | undefined {
  for (const key of ['tls.crt', 'tls.key']) {
    if (!secret.data?.[key]) return `has no ${key}; create it with kubectl create secret tls`
  }
  let leaf: X509Certificate
  try {
    leaf = new X509Certificate(decode(secret, 'tls.crt'))
  } catch {
    return 'has a tls.crt that is no PEM certificate; replace it'
  }
  try {
    if (!leaf.checkPrivateKey(createPrivateKey(decode(secret, 'tls.key')))) {
      return 'has a tls.key that does not belong to the certificate in tls.crt; replace one of them'
    }
  } catch {
    return 'has a tls.key that is no readable PEM private key; replace it'
  }
  const text = decode(secret, 'tls.crt')
  const unreadable = 'has a tls.crt with a further certificate that can not be read; replace it'
  if (isCutOff(text)) return unreadable
  try {
    for (const block of certificatesIn(text)) new X509Certificate(block)
  } catch {
    return unreadable
  }
  const bits = leaf.publicKey.asymmetricKeyDetails?.modulusLength ?? minRsaBits
  return bits < minRsaBits ? `has a key of ${bits} bits; at least ${minRsaBits} are needed, so replace it` : undefined
}

function decode(secret: Secret, key: string): string {
  return new TextDecoder().decode(Uint8Array.fromBase64(secret.data?.[key] ?? ''))
}
