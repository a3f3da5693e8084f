// A certificate as `istioctl ztunnel-config certificates` shows it: each link of the chain and each root by itself.
import { X509Certificate } from 'node:crypto'
import { type CertificateState, splitPem } from '@wishbone/runtime/certificates'

interface DumpedCertificate {
  /** PEM in base64. */
  readonly pem: string
  /** Decimal. */
  readonly serialNumber: string
  readonly validFrom: string
  readonly expirationTime: string
}

export function dumpCertificate({ identity, state, certificate, error }: CertificateState): Record<string, unknown> {
  return {
    identity,
    state,
    ...(error === undefined ? {} : { error }),
    certChain: certificate === undefined ? [] : splitPem(certificate.chainPem).map(dumped),
    rootCerts: certificate === undefined ? [] : splitPem(certificate.rootsPem).map(dumped),
  }
}

function dumped(pem: string): DumpedCertificate {
  const { serialNumber, validFrom, validTo } = new X509Certificate(pem)
  return {
    pem: Buffer.from(pem).toString('base64'),
    serialNumber: BigInt(`0x${serialNumber}`).toString(),
    validFrom: new Date(validFrom).toISOString(),
    expirationTime: new Date(validTo).toISOString(),
  }
}
