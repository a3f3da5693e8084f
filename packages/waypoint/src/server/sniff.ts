// Looks at the first bytes of a connection without taking them, to tell HTTP/1.1, HTTP/2, TLS and anything else apart.
import type { Duplex } from 'node:stream'
import { classify, type Sniffed } from './classify.ts'

export interface SniffOptions {
  /** How long to wait for the client to speak before it counts as a server-first protocol. */
  readonly timeoutMs: number
}

export type SniffResult = Sniffed | 'silent' | 'closed'

/** Resolves as soon as the bytes decide; they stay in the stream. 'silent': the client said nothing in time. */
export function sniff(stream: Duplex, { timeoutMs }: SniffOptions): Promise<SniffResult> {
  const { promise, resolve } = Promise.withResolvers<SniffResult>()
  let seen: Buffer = Buffer.alloc(0)
  const timer = setTimeout(() => finish(seen.length === 0 ? 'silent' : 'other'), timeoutMs)
  const onReadable = () => {
    const chunk: Buffer | null = stream.read()
    if (chunk === null) return
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk])
    const result = classify(seen)
    if (result !== 'undecided') finish(result)
  }
  const onEnd = () => finish(seen.length === 0 ? 'closed' : 'other')
  const finish = (result: SniffResult) => {
    clearTimeout(timer)
    stream.off('readable', onReadable)
    stream.off('end', onEnd)
    stream.off('error', onEnd)
    stream.off('close', onEnd)
    if (seen.length > 0 && !stream.readableEnded && !stream.destroyed) stream.unshift(seen)
    resolve(stream.destroyed ? 'closed' : result)
  }
  stream.on('readable', onReadable)
  stream.once('end', onEnd)
  stream.once('error', onEnd)
  stream.once('close', onEnd)
  return promise
}
