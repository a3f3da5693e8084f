// Takes the authority from its Secret again when that changes, without a restart. A change after which proxies would not
// trust each other until all have new certificates is not taken; the log says in which steps to make it.
import { X509Certificate } from 'node:crypto'
import { splitPem } from '@wishbone/runtime/certificates'
import { type KubeClient, listWatch } from '@wishbone/runtime/kube'
import { backoff } from '@wishbone/runtime/lifecycle'
import { Debouncer, watchedKinds } from '../kube/index.ts'
import { type Log, messageOf } from '../log.ts'
import { type Authority, authoritySecrets, readAuthority } from './authority.ts'

export interface FollowOptions {
  readonly client: KubeClient
  readonly namespace: string
  readonly log: Log
  readonly signal: AbortSignal
  readonly current: () => Authority
  readonly onChange: (next: Authority) => void
}

/** Runs until the signal aborts; never throws. */
export async function followAuthority(options: FollowOptions): Promise<void> {
  const { client, namespace, log, signal, current, onChange } = options
  let complaint = ''
  const complain = (message: string, reason: string): void => {
    if (complaint !== reason) log.error(message, { reason })
    complaint = reason
  }
  const waits = backoff({ firstMs: 200, maxMs: 30_000 })
  let again: NodeJS.Timeout | undefined
  const look = async (): Promise<void> => {
    clearTimeout(again)
    try {
      const next = await readAuthority({ client, namespace, signal })
      waits.reset()
      if (next === undefined)
        return complain('the authority’s Secret is gone; its last content stays in use', 'neither of them exists')
      const before = current()
      if (sameAuthority(before, next)) {
        complaint = ''
        return
      }
      const obstacle = obstacleTo(before, next)
      if (obstacle !== undefined)
        return complain('a changed certificate authority is not taken; the last one stays in use', obstacle)
      complaint = ''
      log.info('the certificate authority has changed', { secret: next.source })
      onChange(next)
    } catch (cause) {
      if (signal.aborted) return
      complain('a changed certificate authority cannot be read; the last one stays in use', messageOf(cause))
      // Its watch has told of the change, and will not again.
      again = setTimeout(poke, waits.next())
      again.unref()
    }
  }
  using looks = new Debouncer(look, { quietMs: 200, maxMs: 1_000 })
  const poke = (): void => looks.poke()
  const handler = { replace: poke, upsert: poke, remove: poke }
  await Promise.all(
    authoritySecrets.map((name) => {
      const kind = { ...watchedKinds.secrets, namespace, fieldSelector: `metadata.name=${name}` }
      return listWatch(client, kind, handler, { log, signal })
    }),
  )
  clearTimeout(again)
}

function sameAuthority(a: Authority, b: Authority): boolean {
  const textOf = ({ certPem, rootsPem, intermediates }: Authority) => [certPem, rootsPem, ...intermediates].join()
  return textOf(a) === textOf(b)
}

/** Why proxies with certificates and roots of one would refuse those of the other. */
function obstacleTo(before: Authority, next: Authority): string | undefined {
  if (!trusts(next.rootsPem, before))
    return `root-cert.pem of ${next.source} lacks the root of the certificates now in use; append that root, and take it out when they have all been renewed`
  if (!trusts(before.rootsPem, next))
    return `running proxies do not know the root of ca-cert.pem of ${next.source}; first append it to root-cert.pem beside the old one, change ca-cert.pem and ca-key.pem when all certificates have been renewed`
  return undefined
}

/** Whether one of the roots is above, or is, the signing certificate. */
function trusts(rootsPem: string, { certPem, intermediates }: Authority): boolean {
  const roots = splitPem(rootsPem).map((pem) => new X509Certificate(pem))
  const above = intermediates.map((pem) => new X509Certificate(pem))
  let at: X509Certificate | undefined = new X509Certificate(certPem)
  for (let depth = 0; at !== undefined && depth < 10; depth++) {
    const one: X509Certificate = at
    const signs = (issuer: X509Certificate) => one.checkIssued(issuer) && one.verify(issuer.publicKey)
    if (roots.some((root) => root.fingerprint256 === one.fingerprint256 || signs(root))) return true
    at = above.find((issuer) => issuer.fingerprint256 !== one.fingerprint256 && signs(issuer))
  }
  return false
}
