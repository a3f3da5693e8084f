// The first record of a TLS connection, left in the stream.
import type { Duplex } from 'node:stream'

const maxHelloBytes = 16_384 + 5

/** Resolves with what has arrived when a whole record is there, the stream ends, or the time is over. */
export function peek(stream: Duplex, timeoutMs: number): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>()
  let seen: Buffer = Buffer.alloc(0)
  const finish = () => {
    clearTimeout(timer)
    stream.off('readable', onReadable)
    stream.off('end', finish)
    stream.off('close', finish)
    if (seen.length > 0 && !stream.readableEnded && !stream.destroyed) stream.unshift(seen)
    resolve(seen)
  }
  const onReadable = () => {
    for (let chunk: Buffer | null = stream.read(); chunk !== null; chunk = stream.read())
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk])
    const length = seen.length >= 5 ? 5 + seen.readUInt16BE(3) : Number.POSITIVE_INFINITY
    if (seen.length >= Math.min(length, maxHelloBytes) || (seen.length > 0 && seen[0] !== 0x16)) finish()
  }
  const timer = setTimeout(finish, timeoutMs)
  stream.on('readable', onReadable)
  stream.once('end', finish)
  stream.once('close', finish)
  return promise
}
