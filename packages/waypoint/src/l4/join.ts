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

const cutOff = 'one side closed the connection in the middle'

/** Owns both streams: they are destroyed when it is over. An error of one resets the other. */
export function joinStreams(a: Duplex, b: Duplex): Join {
  const { promise, resolve } = Promise.withResolvers<JoinResult>()
  let sent = 0
  let received = 0
  let open = 2
  let finished = false
  let broken: { readonly error: Error; readonly failed: 'a' | 'b' } | undefined
  const finish = (error: Error | undefined, failed?: 'a' | 'b') => {
    if (finished) return
    finished = true
    a.destroy(error)
    b.destroy(error)
    resolve({ sent, received, error, failed })
  }
  const copy = (from: Duplex, to: Duplex, count: (bytes: number) => void) => {
    const side = from === a ? 'a' : 'b'
    let isOver = false
    const over = () => {
      if (isOver) return
      isOver = true
      open--
      if (open === 0) finish(broken?.error, broken?.failed)
    }
    from.on('data', (chunk: Buffer) => {
      count(chunk.length)
      if (!to.write(chunk)) from.pause()
    })
    to.on('drain', () => from.resume())
    if (from.readableEnded) to.end(over)
    else from.once('end', () => to.end(over))
    from.once('error', (error) => finish(error, side))
    from.once('close', () => {
      if (!from.readableEnded) finish(new Error(cutOff), side)
    })
    // It has said all that it had to say, which may be on its way still; nothing can be said to it any more.
    to.once('close', () => {
      if (!isOver) broken = { error: new Error(cutOff), failed: side === 'a' ? 'b' : 'a' }
      over()
    })
    from.resume()
    // It went while the other was being connected, and says nothing more of it.
    if (from.destroyed) finish(from.errored ?? new Error(cutOff), side)
  }
  copy(a, b, (bytes) => {
    sent += bytes
  })
  copy(b, a, (bytes) => {
    received += bytes
  })
  return { done: promise, close: (reason) => finish(reason) }
}
