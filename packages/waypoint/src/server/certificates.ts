// The key pairs of listeners as TLS contexts, and those that we show to backends. Keys never leave this class.
import { createHash, X509Certificate } from 'node:crypto'
import tls from 'node:tls'
import { MeshError } from '@wishbone/core/errors'
import type { l7 } from '@wishbone/proto'
import type { Logger } from '@wishbone/runtime/log'
import type { ListenerTable } from '../compile/index.ts'

/** In the order of the client's wishes, but without anything that is not forward secret and authenticated (RFC 9325). */
const ciphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

interface Kept {
  readonly caPem: string
  readonly context: tls.SecureContext
}

export class Certificates {
  readonly #find: (name: string) => l7.Certificate | undefined
  readonly #log: Logger
  readonly #parsed = new WeakMap<l7.Certificate, X509Certificate | null>()
  /** By listener: each has keys of its own for session tickets, so that no session begun on one is resumed on another. */
  readonly #contexts = new WeakMap<l7.Certificate, Map<string, Kept>>()

  constructor(find: (name: string) => l7.Certificate | undefined, log: Logger) {
    this.#find = find
    this.#log = log
  }

  /** With the first usable certificate of the listener that is for this server name, else with its first usable one. */
  contextOf(listener: ListenerTable, serverName: string): tls.SecureContext | undefined {
    const usable = (listener.tls?.certificates ?? []).flatMap((name) => {
      const certificate = this.#find(name)
      const parsed = certificate && this.#parse(certificate)
      return parsed ? [{ certificate, parsed }] : []
    })
    const chosen = usable.find(({ parsed }) => serverName !== '' && parsed.checkHost(serverName)) ?? usable[0]
    return chosen && this.#contextFor(chosen.certificate, listener)
  }

  /** What to show to backends; undefined: nothing. @throws MeshError when the certificate has not arrived */
  clientPair(name: string): { readonly cert: string; readonly key: string } | undefined {
    if (name === '') return undefined
    const certificate = this.#find(name)
    if (certificate !== undefined) return { cert: certificate.chainPem, key: certificate.keyPem }
    throw new MeshError('tls-failure', `the certificate ${name} to show to backends has not arrived`, {
      at: 'upstream',
    })
  }

  #contextFor(certificate: l7.Certificate, { name, tls: termination }: ListenerTable): tls.SecureContext {
    const caPem = termination?.clientValidation?.caPem ?? ''
    let kept = this.#contexts.get(certificate)
    if (kept === undefined) this.#contexts.set(certificate, (kept = new Map()))
    const known = kept.get(name)
    if (known?.caPem === caPem) return known.context
    const context = tls.createSecureContext({
      cert: certificate.chainPem,
      key: certificate.keyPem,
      ca: caPem === '' ? undefined : caPem,
      minVersion: 'TLSv1.2',
      ciphers,
      // OpenSSL resumes no session of another context, and wants one where clients show certificates. At most 32 bytes.
      sessionIdContext: createHash('sha256').update(name).digest('base64').slice(0, 32),
    })
    kept.set(name, { caPem, context })
    return context
  }

  /** Null: unusable, which is said once. */
  #parse(certificate: l7.Certificate): X509Certificate | null {
    let parsed = this.#parsed.get(certificate)
    if (parsed !== undefined) return parsed
    try {
      tls.createSecureContext({ cert: certificate.chainPem, key: certificate.keyPem })
      parsed = new X509Certificate(certificate.chainPem)
    } catch (cause) {
      parsed = null
      this.#log.error('a certificate cannot be used', {
        certificate: certificate.name,
        error: (cause as Error).message,
        hint: 'do the key and the certificate of this Secret belong together?',
      })
    }
    this.#parsed.set(certificate, parsed)
    return parsed
  }
}
