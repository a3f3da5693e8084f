// The bytes with which a stream begins, looked at before it is known who serves it. What they mean is the caller's.
import type { Duplex } from 'node:stream'

/** What the bytes so far decide. `taken`: how many of them are taken out of the stream; the others stay. */
export type Decision<T> = 'more' | { readonly value: T; readonly taken: number }

export type FirstBytes<T> =
  | { readonly kind: 'decided'; readonly value: T }
  /** The time was over, or the stream ended or failed, before the bytes decided; what came of them stays in the stream. */
  | { readonly kind: 'silent' | 'ended'; readonly bytes: Buffer }

/** Calls `decide` (pure; it also bounds how many bytes are kept) with all bytes so far each time some come. Never rejects. */
export function readFirstBytes<T>(
  stream: Duplex,
  timeoutMs: number,
  decide: (bytes: Buffer) => Decision<T>,
): Promise<FirstBytes<T>> {
  const { promise, resolve } = Promise.withResolvers<FirstBytes<T>>()
  let seen: Buffer = Buffer.alloc(0)
  const onReadable = () => {
    const before = seen.length
    for (let chunk: Buffer | null = stream.read(); chunk !== null; chunk = stream.read())
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk])
    if (seen.length === before) return
    const decision = decide(seen)
    if (decision !== 'more') finish({ kind: 'decided', value: decision.value }, decision.taken)
  }
  const onEnd = () => finish({ kind: 'ended', bytes: seen })
  const finish = (outcome: FirstBytes<T>, taken = 0) => {
    clearTimeout(timer)
    stream.off('readable', onReadable)
    stream.off('end', onEnd)
    stream.off('error', onEnd)
    stream.off('close', onEnd)
    if (seen.length > taken && !stream.readableEnded && !stream.destroyed) stream.unshift(seen.subarray(taken))
    resolve(outcome)
  }
  const timer = setTimeout(() => finish({ kind: 'silent', bytes: seen }), timeoutMs)
  stream.on('readable', onReadable)
  stream.once('end', onEnd)
  stream.once('error', onEnd)
  stream.once('close', onEnd)
  // Whoever looked before has seen the end, or the connection has gone since.
  if (stream.readableEnded || stream.closed) onEnd()
  return promise
}
