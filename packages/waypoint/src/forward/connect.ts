// One TCP connection to an endpoint, or why there is none.
import net from 'node:net'
import { MeshError } from '@wishbone/core/errors'
import { formatSocketAddress } from '@wishbone/core/ip'

export interface ConnectOptions {
  readonly timeoutMs: number
  readonly signal?: AbortSignal
  /** What no answer means, where it means more than that. */
  readonly onTimeout?: { readonly code: 'network-policy'; readonly hint: string }
}

/** @throws MeshError connect-failed, connect-timeout or what `onTimeout` says */
export function connectTcp(
  { host, port }: { readonly host: string; readonly port: number },
  { timeoutMs, signal, onTimeout }: ConnectOptions,
): Promise<net.Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<net.Socket>()
  const where = formatSocketAddress(host, port)
  const context = { at: 'upstream', retry: 'yes' } as const
  const socket = net.connect({
    host,
    port,
    noDelay: true,
    allowHalfOpen: true,
    keepAlive: true,
    ...(signal === undefined ? {} : { signal }),
  })
  const timer = setTimeout(() => {
    socket.destroy()
    const hint = onTimeout === undefined ? {} : { hint: onTimeout.hint }
    const message = `${where} did not answer in ${timeoutMs} ms`
    reject(new MeshError(onTimeout?.code ?? 'connect-timeout', message, { ...context, ...hint }))
  }, timeoutMs)
  const onError = (cause: Error) => {
    clearTimeout(timer)
    reject(new MeshError('connect-failed', `connecting to ${where}`, { ...context, cause }))
  }
  socket.once('error', onError)
  socket.once('connect', () => {
    clearTimeout(timer)
    socket.off('error', onError)
    // Whoever takes it listens too; an error in between must not end the process.
    socket.on('error', () => {})
    resolve(socket)
  })
  return promise
}
