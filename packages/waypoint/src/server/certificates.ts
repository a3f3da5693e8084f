// The key pairs of HTTPS listeners as TLS contexts. Keys never leave this class.
import tls from 'node:tls'
import type { l7 } from '@wishbone/proto'
import type { Logger } from '@wishbone/runtime/log'

export class Certificates {
  readonly #find: (name: string) => l7.Certificate | undefined
  readonly #log: Logger
  readonly #contexts = new WeakMap<l7.Certificate, tls.SecureContext | null>()

  constructor(find: (name: string) => l7.Certificate | undefined, log: Logger) {
    this.#find = find
    this.#log = log
  }

  /** The first of these that is there and usable. */
  contextOf(names: readonly string[]): tls.SecureContext | undefined {
    for (const name of names) {
      const certificate = this.#find(name)
      if (certificate === undefined) continue
      let context = this.#contexts.get(certificate)
      if (context === undefined) {
        context = this.#create(certificate)
        this.#contexts.set(certificate, context)
      }
      if (context !== null) return context
    }
    return undefined
  }

  #create({ name, chainPem, keyPem }: l7.Certificate): tls.SecureContext | null {
    try {
      return tls.createSecureContext({ cert: chainPem, key: keyPem, minVersion: 'TLSv1.2' })
    } catch (cause) {
      this.#log.error('a certificate cannot be used', {
        certificate: name,
        error: (cause as Error).message,
        hint: 'do the key and the certificate of this Secret belong together?',
      })
      return null
    }
  }
}
