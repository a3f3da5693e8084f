// Shares client sessions among the connections of one proxied pod (ambient wire §1.6).
import type { MeshError } from '@wishbone/core/errors'
import type { Dial, Headers, PooledSessionState, PoolKey, PoolOptions, Tunnel } from './types.ts'

export class HbonePool {
  constructor(options: PoolOptions = {}) {
    void options
  }

  /**
   * Opens a tunnel on a shared session, dialling one if there is none with room; requests that arrive meanwhile wait for that dial.
   * Errors: whatever `dial` throws; HboneStatusError; MeshError `draining` after `drain`.
   */
  connect(key: PoolKey, authority: string, headers: Headers, dial: Dial, signal?: AbortSignal): Promise<Tunnel> {
    throw new Error(`not yet: ${key.destination} ${authority} ${headers} ${dial} ${signal}`)
  }

  /** No new tunnels; open ones finish. Settles when every session is closed. */
  drain(): Promise<void> {
    throw new Error('not yet')
  }

  /** Closes every session now. */
  close(reason: MeshError): void {
    throw reason
  }

  dump(): readonly PooledSessionState[] {
    return []
  }
}
