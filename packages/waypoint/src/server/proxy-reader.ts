// Takes the PROXY protocol header off the beginning of a connection; what follows it stays in the stream.
import type { Duplex } from 'node:stream'
import { type ProxyAddress, parseProxyHeader } from './proxy-protocol.ts'

const headerMs = 5_000

/** Undefined: the load balancer speaks for itself. Rejects when there is no header, or not in time. */
export function readProxyHeader(stream: Duplex): Promise<ProxyAddress | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<ProxyAddress | undefined>()
  let seen: Buffer = Buffer.alloc(0)
  const finish = (then: () => void) => {
    clearTimeout(timer)
    stream.off('readable', onReadable)
    stream.off('end', onEnd)
    stream.off('close', onEnd)
    then()
  }
  const onReadable = () => {
    const chunk: Buffer | null = stream.read()
    if (chunk === null) return
    seen = Buffer.concat([seen, chunk])
    const header = parseProxyHeader(seen)
    if (header.kind === 'invalid') finish(() => reject(new Error(header.reason)))
    else if (header.kind === 'header')
      finish(() => {
        if (seen.length > header.length) stream.unshift(seen.subarray(header.length))
        resolve(header.client)
      })
  }
  const onEnd = () => finish(() => reject(new Error('the connection ended in its header')))
  const timer = setTimeout(() => finish(() => reject(new Error('its header took too long'))), headerMs)
  stream.on('readable', onReadable)
  stream.once('end', onEnd)
  stream.once('close', onEnd)
  return promise
}
