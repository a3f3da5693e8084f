// The pools of connections to all endpoints. A pool that was not used for a while is closed.

import type { Dialler } from './dial.ts'
import type { Exchange, ExchangeHandler, UpstreamRequest } from './exchange.ts'
import { Http1Pool } from './http1.ts'
import { Http1SingleExchange, needsOwnConnection } from './http1-single.ts'
import { Http2Pool } from './http2.ts'
import type { Target } from './target.ts'

const unusedPoolMs = 120_000
const sweepMs = 30_000

export class Forwarder {
  readonly #dial: Dialler
  readonly #http1 = new Map<string, Http1Pool>()
  readonly #http2 = new Map<string, Http2Pool>()
  readonly #now: () => number
  readonly #sweeper: NodeJS.Timeout

  constructor(dial: Dialler, now: () => number) {
    this.#dial = dial
    this.#now = now
    this.#sweeper = setInterval(() => this.#sweep(), sweepMs)
    this.#sweeper.unref()
  }

  /** Sends the request. `version`: 2 for h2c or h2. */
  send(target: Target, version: 1 | 2, request: UpstreamRequest, handler: ExchangeHandler): Exchange {
    if (version === 1 && needsOwnConnection(request))
      return new Http1SingleExchange(request, handler, () => this.#dial(target, ['http/1.1']))
    const pool = version === 2 ? this.#http2Pool(target) : this.#http1Pool(target)
    pool.lastUsedMs = this.#now()
    return pool.dispatch(request, handler)
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper)
    for (const pool of [...this.#http1.values(), ...this.#http2.values()]) await pool.close()
    this.#http1.clear()
    this.#http2.clear()
  }

  #http1Pool(target: Target): Http1Pool {
    let pool = this.#http1.get(target.key)
    if (pool === undefined) {
      pool = new Http1Pool(() => this.#dial(target, ['http/1.1']))
      this.#http1.set(target.key, pool)
    }
    return pool
  }

  #http2Pool(target: Target): Http2Pool {
    let pool = this.#http2.get(target.key)
    if (pool === undefined) {
      pool = new Http2Pool(() => this.#dial(target, ['h2']), target.tls === undefined ? 'http' : 'https')
      this.#http2.set(target.key, pool)
    }
    return pool
  }

  #sweep(): void {
    const before = this.#now() - unusedPoolMs
    for (const pools of [this.#http1, this.#http2])
      for (const [key, pool] of pools)
        if (pool.inFlight === 0 && pool.lastUsedMs < before) {
          pools.delete(key)
          void pool.close()
        }
  }
}
