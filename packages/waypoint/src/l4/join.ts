// Bytes between two streams, both ways, with half-close and back-pressure, until both directions have ended.
import type { Duplex } from 'node:stream'

export interface JoinResult {
  /** From `a` to `b`. */
  readonly sent: number
  readonly received: number
  /** Absent after an orderly end. */
  readonly error: Error | undefined
  /** Whose error it is; absent where it is neither's. */
  readonly failed: 'a' | 'b' | undefined
}

export interface Join {
  readonly done: Promise<JoinResult>
  close(reason: Error): void
}

/** Owns both streams: they are destroyed when it is over. An error of one resets the other. */
export function joinStreams(a: Duplex, b: Duplex): Join {
  const { promise, resolve } = Promise.withResolvers<JoinResult>()
  let sent = 0
  let received = 0
  let open = 2
  let finished = false
  const finish = (error: Error | undefined, failed?: 'a' | 'b') => {
    if (finished) return
    finished = true
    a.destroy(error)
    b.destroy(error)
    resolve({ sent, received, error, failed })
  }
  const copy = (from: Duplex, to: Duplex, count: (bytes: number) => void) => {
    from.on('data', (chunk: Buffer) => {
      count(chunk.length)
      if (!to.write(chunk)) from.pause()
    })
    to.on('drain', () => from.resume())
    from.once('end', () => {
      to.end(() => {
        open--
        if (open === 0) finish(undefined)
      })
    })
    from.once('error', (error) => finish(error, from === a ? 'a' : 'b'))
    from.once('close', () => {
      if (!from.readableEnded) finish(new Error('one side closed the connection in the middle'), from === a ? 'a' : 'b')
    })
    from.resume()
  }
  copy(a, b, (bytes) => {
    sent += bytes
  })
  copy(b, a, (bytes) => {
    received += bytes
  })
  return { done: promise, close: (reason) => finish(reason) }
}
