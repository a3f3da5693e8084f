// Whether a backend's certificate has a name that its policy accepts (Gateway API BackendTLSPolicy).
import tls from 'node:tls'
import type { UpstreamTls } from '../compile/index.ts'

/** Undefined: accepted. With alternative names in the policy, the hostname is for the SNI only. */
export function checkNames(policy: UpstreamTls, certificate: tls.PeerCertificate): Error | undefined {
  if (policy.subjectAltNames.length === 0) return tls.checkServerIdentity(policy.hostname, certificate)
  const names = (certificate.subjectaltname ?? '').split(', ')
  for (const wanted of policy.subjectAltNames) {
    if (names.includes(`URI:${wanted}`)) return undefined
    if (!wanted.includes('://') && tls.checkServerIdentity(wanted, certificate) === undefined) return undefined
  }
  return new Error(`the certificate has none of the names ${policy.subjectAltNames.join(', ')}`)
}
