// Keeps certificates ready: one per identity, renewed at half of its life, retried with growing pauses, a few requests at a time.
import { MeshError } from '@wishbone/core/errors'
import { longestTimerMs } from '@wishbone/core/timers'
import type { FetchesCertificates } from './ca-client.ts'
import type { WorkloadCertificate } from './certificate.ts'
import { FetchQueue, type Priority } from './queue.ts'

export interface CertificateManagerOptions {
  readonly authority: FetchesCertificates
  readonly log?: {
    info(message: string, fields?: Record<string, unknown>): void
    warn(message: string, fields?: Record<string, unknown>): void
  }
  /** Requests to the authority at once; default 8 (ambient wire §2.7). */
  readonly maxParallel?: number
  /** Numbers in [0, 1) for jitter. */
  readonly random?: () => number
}

/** One identity's state for dumps; never a key. */
export interface CertificateState {
  readonly identity: string
  readonly state: 'Initializing' | 'Available' | 'Unavailable'
  readonly certificate?: {
    readonly chainPem: string
    readonly rootsPem: string
    readonly serial: string
    readonly notBefore: Date
    readonly notAfter: Date
  }
  readonly error?: string
  readonly nextAttempt?: Date
}

interface Entry {
  readonly identity: string
  current: WorkloadCertificate | undefined
  /** The attempt under way, for those who have nothing else to use. */
  attempt: Promise<WorkloadCertificate> | undefined
  failures: number
  lastError: MeshError | undefined
  timer: NodeJS.Timeout | undefined
  nextAttemptMs: number | undefined
}

const firstRetryMs = 500
const maxRetryMs = 150_000
/** Without a valid certificate nothing works: the authority may be back any moment. */
const maxUrgentRetryMs = 2_000

/**
 * Lifecycle of an identity: first request → Initializing → Available (renewal at half of its life, again and again) or Unavailable
 * (retry after 0.5 s, doubled up to 2 s, or to 150 s while there is a valid one). While renewals fail, the certificate that is still valid stays in use. `forget` ends it.
 */
export class CertificateManager {
  readonly #options: CertificateManagerOptions
  readonly #entries = new Map<string, Entry>()
  /** Requests under way by identity. One that was forgotten meanwhile serves whoever wants its identity again. */
  readonly #requests = new Map<string, Promise<WorkloadCertificate>>()
  readonly #listeners = new Set<(identity: string, certificate: WorkloadCertificate) => void>()
  readonly #queue: FetchQueue
  readonly #random: () => number

  constructor(options: CertificateManagerOptions) {
    this.#options = options
    this.#queue = new FetchQueue(options.maxParallel ?? 8)
    this.#random = options.random ?? Math.random
  }

  /** The certificate in use; waits for the first one. Rejects with `certificate-unavailable` while attempts fail and none is valid. */
  async get(identity: string): Promise<WorkloadCertificate> {
    const entry = this.#entries.get(identity)
    if (entry?.current?.isValidAt(Date.now())) return entry.current
    if (entry?.attempt !== undefined) {
      this.#queue.raise(identity, 'realtime')
      return entry.attempt
    }
    if (entry?.lastError !== undefined) throw entry.lastError
    return this.#fetch(entry ?? this.#create(identity), 'realtime')
  }

  /** The valid certificate if there is one now. */
  current(identity: string): WorkloadCertificate | undefined {
    const certificate = this.#entries.get(identity)?.current
    return certificate?.isValidAt(Date.now()) ? certificate : undefined
  }

  /** Starts to get a certificate that will be needed soon. Failures are logged and retried. */
  prefetch(identity: string): void {
    if (!this.#entries.has(identity)) this.#fetch(this.#create(identity), 'warmup').catch(() => undefined)
  }

  /** Drops an identity that nobody uses any more; those who wait for it get an error. */
  forget(identity: string): void {
    const entry = this.#entries.get(identity)
    if (entry === undefined) return
    this.#entries.delete(identity)
    clearTimeout(entry.timer)
    if (this.#queue.cancel(identity)) this.#requests.delete(identity)
  }

  /** Calls back for every new certificate, the first included. Returns the way to stop. */
  onRotate(listener: (identity: string, certificate: WorkloadCertificate) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  dump(): readonly CertificateState[] {
    return [...this.#entries.values()].map((entry) => {
      const { current, lastError, nextAttemptMs } = entry
      const available = current?.isValidAt(Date.now())
      return {
        identity: entry.identity,
        state: available ? 'Available' : lastError === undefined ? 'Initializing' : 'Unavailable',
        ...(current && {
          certificate: {
            chainPem: current.chainPem,
            rootsPem: current.rootsPem,
            serial: current.serial,
            notBefore: current.notBefore,
            notAfter: current.notAfter,
          },
        }),
        ...(lastError && { error: lastError.describe() }),
        ...(nextAttemptMs && { nextAttempt: new Date(nextAttemptMs) }),
      }
    })
  }

  close(): void {
    for (const identity of [...this.#entries.keys()]) this.forget(identity)
  }

  #create(identity: string): Entry {
    const entry: Entry = {
      identity,
      current: undefined,
      attempt: undefined,
      failures: 0,
      lastError: undefined,
      timer: undefined,
      nextAttemptMs: undefined,
    }
    this.#entries.set(identity, entry)
    return entry
  }

  #fetch(entry: Entry, priority: Priority): Promise<WorkloadCertificate> {
    entry.nextAttemptMs = undefined
    // A connection may have asked before its time: a clock that jumps makes certificates expire.
    clearTimeout(entry.timer)
    entry.attempt = this.#request(entry.identity, priority).then(
      (certificate) => this.#succeeded(entry, certificate),
      (cause: unknown) => this.#failed(entry, cause),
    )
    return entry.attempt
  }

  #request(identity: string, priority: Priority): Promise<WorkloadCertificate> {
    const known = this.#requests.get(identity)
    if (known !== undefined) return known
    const request = this.#queue.run(identity, priority, () => this.#options.authority.fetch(identity))
    this.#requests.set(identity, request)
    const over = () => {
      if (this.#requests.get(identity) === request) this.#requests.delete(identity)
    }
    request.then(over, over)
    return request
  }

  #succeeded(entry: Entry, certificate: WorkloadCertificate): WorkloadCertificate {
    entry.attempt = undefined
    entry.current = certificate
    entry.failures = 0
    entry.lastError = undefined
    if (this.#entries.get(entry.identity) !== entry) return certificate
    const halfLifeMs = (certificate.notAfter.getTime() - Date.now()) / 2
    this.#schedule(entry, Math.max(firstRetryMs, halfLifeMs * (0.95 + 0.1 * this.#random())))
    for (const listener of this.#listeners) listener(entry.identity, certificate)
    return certificate
  }

  #failed(entry: Entry, cause: unknown): never {
    const error = MeshError.from(cause, 'certificate-unavailable', { at: 'upstream', retry: 'yes' })
    entry.attempt = undefined
    entry.lastError = error
    if (this.#entries.get(entry.identity) === entry) {
      const failures = entry.failures++
      const jitter = 0.8 + 0.4 * this.#random()
      // What is still valid is not waited for beyond its end.
      const leftMs = (entry.current?.notAfter.getTime() ?? 0) - Date.now()
      const longestMs = Math.max(maxUrgentRetryMs * jitter, Math.min(maxRetryMs * jitter, leftMs))
      const pauseMs = Math.min(longestMs, firstRetryMs * 2 ** Math.min(failures, 20) * jitter)
      const fields = {
        identity: entry.identity,
        retryInMs: Math.round(pauseMs),
        validUntil: entry.current?.notAfter.toISOString(),
      }
      if (failures < 5 || failures % 30 === 0)
        this.#options.log?.warn(`no new certificate: ${error.describe()}`, fields)
      this.#schedule(entry, pauseMs)
    }
    throw error
  }

  #schedule(entry: Entry, delayMs: number): void {
    entry.nextAttemptMs = Date.now() + delayMs
    const step = Math.min(delayMs, longestTimerMs)
    entry.timer = setTimeout(() => {
      if (delayMs > step) this.#schedule(entry, delayMs - step)
      else this.#fetch(entry, entry.current === undefined ? 'warmup' : 'background').catch(() => undefined)
    }, step)
    entry.timer.unref()
  }
}
