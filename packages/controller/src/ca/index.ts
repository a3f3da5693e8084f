// The certificate authority: its key, the service that issues to proxies, and the controller's own certificate.
export { type Authority, loadAuthority } from './authority.ts'
export { followAuthority } from './follow.ts'
export { keepServerCertificate, type ServerCertificate, serverNames } from './server-certificate.ts'
export {
  type CertificateServiceOptions,
  type CreateCertificate,
  createCertificateHandler,
  type Refusal,
  refuseCertificate,
} from './service.ts'
