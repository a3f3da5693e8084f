// Who sent a request, as the Kubernetes API says of its token (TokenReview, audience istio-ca). Answers are kept until
// the token expires, at most a minute, under the token's hash; a refusal for a few seconds, so that a client with a bad
// token does not turn into load on the API server.

import { createHash } from 'node:crypto'
import type { KubeClient } from '@wishbone/runtime/kube'
import { Room } from '@wishbone/runtime/lifecycle'
import { messageOf } from '../log.ts'

export const tokenAudience = 'istio-ca'

/** A service account that a token proves; the pod and node only if the token is bound to a pod. */
export interface Caller {
  readonly namespace: string
  readonly serviceAccount: string
  readonly pod?: { readonly name: string; readonly uid: string }
  readonly node?: string
}

/** `refused`: the token is not good. `unavailable`: nobody can tell now. */
export type Review =
  | { readonly kind: 'caller'; readonly caller: Caller }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'unavailable'; readonly reason: string }

interface TokenReviewStatus {
  readonly authenticated?: boolean
  readonly error?: string
  readonly audiences?: readonly string[]
  readonly user?: { readonly username?: string; readonly extra?: Readonly<Record<string, readonly string[]>> }
}

const keepMs = 60_000
const keepRefusalMs = 5_000
const maxKept = 10_000
/** Asked of the API server at a time: tokens that nobody has seen yet cost whoever sends them nothing. */
const maxAsked = 64
const maxWaiting = 4_000
const patienceMs = 10_000
const extra = 'authentication.kubernetes.io'

export class TokenReviewer {
  readonly #client: Pick<KubeClient, 'request'>
  readonly #clock: () => number
  /** In order of insertion; the oldest go first when it is full. */
  readonly #kept = new Map<
    string,
    { readonly fromMs: number; readonly untilMs: number; readonly review: Promise<Review> }
  >()
  readonly #room = new Room(maxAsked)

  constructor(client: Pick<KubeClient, 'request'>, clock: () => number = Date.now) {
    this.#client = client
    this.#clock = clock
  }

  /** Takes the value of an authorization header. Never rejects. */
  review(authorization: string | undefined): Promise<Review> {
    const token = /^Bearer +([\w.~+/=-]+)$/i.exec(authorization?.trim() ?? '')?.[1]
    if (token === undefined || token.length > 16_384)
      return Promise.resolve({ kind: 'refused', reason: 'the request carries no bearer token' })
    const key = createHash('sha256').update(token).digest('base64')
    const now = this.#clock()
    const kept = this.#kept.get(key)
    // A clock that was set back would keep it for as long as it went.
    if (kept !== undefined && kept.fromMs <= now && now < kept.untilMs) return kept.review
    this.#kept.delete(key)
    const review = this.#inTurn(() => this.#ask(token))
    this.#keep(key, now, now + keepMs, review)
    void review.then((answer) => {
      if (this.#kept.get(key)?.review !== review) return
      if (answer.kind === 'unavailable') this.#kept.delete(key)
      else if (answer.kind === 'refused') this.#keep(key, now, now + keepRefusalMs, review)
      else this.#keep(key, now, Math.min(now + keepMs, expiryMs(token)), review)
    })
    return review
  }

  #keep(key: string, fromMs: number, untilMs: number, review: Promise<Review>): void {
    this.#kept.delete(key)
    this.#kept.set(key, { fromMs, untilMs, review })
    if (this.#kept.size > maxKept) this.#kept.delete(this.#kept.keys().next().value!)
  }

  async #inTurn(ask: () => Promise<Review>): Promise<Review> {
    if (this.#room.waiting >= maxWaiting) return busy
    const sinceMs = performance.now()
    const leave = await this.#room.enter()
    try {
      return performance.now() - sinceMs > patienceMs ? busy : await ask()
    } finally {
      leave()
    }
  }

  async #ask(token: string): Promise<Review> {
    const body = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token, audiences: [tokenAudience] },
    }
    try {
      const path = '/apis/authentication.k8s.io/v1/tokenreviews'
      const { status } = await this.#client.request<{ status?: TokenReviewStatus }>('POST', path, {
        body,
        timeoutMs: patienceMs,
      })
      return judge(status ?? {})
    } catch (cause) {
      return { kind: 'unavailable', reason: `the Kubernetes API does not review tokens: ${messageOf(cause)}` }
    }
  }
}

const busy: Review = { kind: 'unavailable', reason: 'too many tokens wait for their review; try again' }

function judge(status: TokenReviewStatus): Review {
  if (status.authenticated !== true)
    return { kind: 'refused', reason: `the token is not valid${status.error === undefined ? '' : `: ${status.error}`}` }
  // An API server that does not know audiences says nothing about them: that is not a yes.
  if (status.audiences?.includes(tokenAudience) !== true)
    return { kind: 'refused', reason: `the token is not for the audience ${tokenAudience}` }
  const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(status.user?.username ?? '')
  if (account === null)
    return { kind: 'refused', reason: `${status.user?.username ?? 'the caller'} is not a service account` }
  const first = (name: string): string | undefined => status.user?.extra?.[`${extra}/${name}`]?.[0]
  const name = first('pod-name')
  const uid = first('pod-uid')
  const node = first('node-name')
  const caller: Caller = {
    namespace: account[1]!,
    serviceAccount: account[2]!,
    ...(name === undefined || uid === undefined ? {} : { pod: { name, uid } }),
    ...(node === undefined ? {} : { node }),
  }
  return { kind: 'caller', caller }
}

/** When a JWT expires; only asked about tokens that the API server has accepted. */
function expiryMs(token: string): number {
  try {
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { exp?: unknown }
    return typeof claims.exp === 'number' ? claims.exp * 1000 : Number.POSITIVE_INFINITY
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
