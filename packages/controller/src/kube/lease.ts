// Leader election by a coordination.k8s.io Lease. One replica writes to the API; all serve proxies.
//
// States: following → leading → following. A leader that cannot renew for `durationMs` steps down by itself before
// another may take over; a leader that stops gives the lease up, so that the next one starts at once.

import { isStatus, type KubeClient } from '@wishbone/runtime/kube'
import { delay } from '@wishbone/runtime/lifecycle'
import { type Log, messageOf } from '../log.ts'

export interface ElectionOptions {
  readonly namespace: string
  readonly name: string
  /** Unique per replica: the pod's name. */
  readonly identity: string
  readonly durationMs?: number
  readonly renewMs?: number
  readonly log: Log
  readonly signal: AbortSignal
  /** Whether the replica of this name is known to be gone: then its lease is free at once. */
  readonly isGone?: (identity: string) => Promise<boolean>
  /** Called when this replica begins or ceases to lead. */
  readonly onChange: (leading: boolean) => void
}

interface Lease {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly resourceVersion?: string }
  readonly spec?: {
    readonly holderIdentity?: string
    readonly leaseDurationSeconds?: number
    readonly renewTime?: string
    readonly acquireTime?: string
    readonly leaseTransitions?: number
  }
}

/** Takes part in the election until the signal aborts; never throws. */
export async function runElection(client: KubeClient, options: ElectionOptions): Promise<void> {
  const { identity, signal, log, durationMs = 15_000, renewMs = 5_000 } = options
  const collection = `/apis/coordination.k8s.io/v1/namespaces/${options.namespace}/leases`
  const path = `${collection}/${options.name}`
  let leading = false
  let stepDown: NodeJS.Timeout | undefined
  /** The foreign lease as last seen and when, by our own clock: clocks of replicas may differ. */
  let seen: { readonly version: string; readonly atMs: number } | undefined

  const become = (now: boolean, why: string): void => {
    if (now === leading) return
    leading = now
    log.info(now ? 'leading: this replica writes statuses and infrastructure' : 'no longer leading', {
      why,
      lease: options.name,
    })
    options.onChange(now)
  }
  /** Others count from when they first see the renewal, which is not before it was sent; an attempt may take any time. */
  const renewed = (sentAt: number, why: string): void => {
    clearTimeout(stepDown)
    const leftMs = sentAt + durationMs - renewMs / 2 - performance.now()
    stepDown = setTimeout(() => become(false, 'the lease could not be renewed in time'), leftMs)
    become(true, why)
  }
  const spec = (lease: Lease | undefined, now: string): Lease['spec'] => {
    const mine = lease?.spec?.holderIdentity === identity
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(durationMs / 1000),
      renewTime: now,
      acquireTime: mine ? (lease.spec?.acquireTime ?? now) : now,
      leaseTransitions: (lease?.spec?.leaseTransitions ?? 0) + (lease === undefined || mine ? 0 : 1),
    }
  }
  const attempt = async (signal: AbortSignal): Promise<void> => {
    const now = microTime()
    const sentAt = performance.now()
    let lease: Lease
    try {
      lease = await client.get<Lease>(path, signal)
    } catch (cause) {
      if (!isStatus(cause, 404)) throw cause
      await client.request('POST', collection, { body: object(options, spec(undefined, now)), signal })
      return renewed(sentAt, 'the lease was free')
    }
    const holder = lease.spec?.holderIdentity ?? ''
    if (holder !== identity && holder !== '') {
      const version = lease.metadata.resourceVersion ?? lease.spec?.renewTime ?? ''
      if (seen === undefined || seen.version !== version) seen = { version, atMs: performance.now() }
      const limit = (lease.spec?.leaseDurationSeconds ?? durationMs / 1000) * 1000
      if (performance.now() - seen.atMs < limit && (await options.isGone?.(holder)) !== true)
        return become(false, `${holder} holds the lease`)
    }
    const body = { ...object(options, spec(lease, now)), metadata: { ...lease.metadata } }
    await client.request('PUT', path, { body, signal })
    renewed(sentAt, holder === identity ? 'the lease was this replica’s already' : 'the lease was free')
  }

  while (!signal.aborted) {
    let failed = false
    try {
      // A connection that is half open must not take the time in which another one would do.
      await attempt(AbortSignal.any([signal, AbortSignal.timeout(renewMs)]))
    } catch (cause) {
      failed = true
      // Somebody else was faster: look again at the next turn.
      if (!isStatus(cause, 409) && !signal.aborted)
        log.warn('cannot renew the leader lease', { reason: messageOf(cause) })
      else if (isStatus(cause, 409)) become(false, 'another replica was faster')
    }
    // A foreign lease is looked at more often than it is renewed, so that a free one is taken soon.
    await delay((leading && !failed ? renewMs : renewMs / 2) * (0.9 + Math.random() * 0.2), signal)
  }
  clearTimeout(stepDown)
  if (leading) {
    // First: who takes the lease begins to write at once.
    become(false, 'stopping')
    await release(client, path, identity).catch((cause: unknown) =>
      log.debug('the lease was not given up', { reason: messageOf(cause) }),
    )
  }
}

async function release(client: KubeClient, path: string, identity: string): Promise<void> {
  const lease = await client.request<Lease>('GET', path, { timeoutMs: 1_000 })
  if (lease.spec?.holderIdentity !== identity) return
  const body = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    ...lease,
    spec: { ...lease.spec, holderIdentity: '' },
  }
  await client.request('PUT', path, { body, timeoutMs: 1_000 })
}

function object({ namespace, name }: ElectionOptions, spec: Lease['spec']): object {
  return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name }, spec }
}

/** Kubernetes' MicroTime wants six digits. */
function microTime(): string {
  return new Date().toISOString().replace('Z', '000Z')
}
