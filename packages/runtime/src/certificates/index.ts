// Keys, certificates and the certificate authority's client side.
export { CaClient, type CaClientOptions, type FetchesCertificates } from './ca-client.ts'
export { type CertificateMaterial, WorkloadCertificate } from './certificate.ts'
export { createCsr, type ParsedCsr, parseCsr } from './csr.ts'
export {
  type IssuedCertificate,
  type IssueLeafOptions,
  issueIntermediate,
  issueLeaf,
  type SelfSignedRootOptions,
  type Signer,
  selfSignedRoot,
} from './issue.ts'
export {
  CertificateManager,
  type CertificateManagerOptions,
  type CertificateState,
} from './manager.ts'
export { parseSubjectAltName, type SubjectAltNames, splitPem } from './x509.ts'
