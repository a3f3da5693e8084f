// The controller's own server certificate, issued by its own authority, renewed at half of its life.
import { generateKeyPairSync } from 'node:crypto'
import type { Log } from '../log.ts'
import { type Authority, issue } from './authority.ts'

export interface ServerCertificate {
  readonly chainPem: string
  readonly keyPem: string
}

/** Names under which proxies call the controller; Istio's too, for its ztunnel with its defaults. */
export function serverNames(namespace: string, clusterDomain: string): readonly string[] {
  const own = `wishbone-controller.${namespace}`
  return [
    `${own}.svc`,
    `${own}.svc.${clusterDomain}`,
    own,
    'istiod.istio-system.svc',
    `istiod.istio-system.svc.${clusterDomain}`,
    'localhost',
  ]
}

export interface KeptCertificate extends Disposable {
  /** Issues the next one now: the authority has changed. */
  renew(): void
}

/**
 * How often the time is looked at: certificates go by the clock on the wall, which jumps, and goes on while a machine sleeps;
 * timers do not.
 */
const lookMs = 60_000

/** Calls back with a first certificate at once and with each next one; returns the way to stop. */
export function keepServerCertificate(
  authority: () => Authority,
  names: readonly string[],
  options: {
    readonly log: Log
    readonly ttlSeconds?: number
    readonly onRenew: (certificate: ServerCertificate) => void
  },
): KeptCertificate {
  const { log, ttlSeconds = 86_400, onRenew } = options
  let timer: NodeJS.Timeout | undefined
  let issuedMs = 0
  let renewMs = 0
  const look = (): void => {
    clearTimeout(timer)
    const now = Date.now()
    if (now < issuedMs || now >= renewMs) renew()
    else timer = setTimeout(look, Math.min(lookMs, renewMs - now)).unref()
  }
  const renew = (): void => {
    let lifeMs = 60_000
    try {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const leaf = issue(authority(), { publicKey, dnsSans: names, ttlSeconds })
      lifeMs = leaf.notAfter.getTime() - Date.now()
      const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
      onRenew({ chainPem: leaf.pem + authority().intermediates.join(''), keyPem })
      log.debug('renewed the server certificate', { serial: leaf.serial, until: leaf.notAfter.toISOString() })
    } catch (cause) {
      log.error('cannot renew the server certificate; the old one stays in use', { error: cause })
    }
    issuedMs = Date.now()
    renewMs = issuedMs + Math.max(1_000, lifeMs / 2)
    look()
  }
  renew()
  return { renew, [Symbol.dispose]: () => clearTimeout(timer) }
}
