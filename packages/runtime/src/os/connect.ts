// Dials TCP from inside a network namespace. Failure says which it was: ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH,
// ENETUNREACH, EADDRNOTAVAIL… in error.code; an aborted dial rejects with the signal's reason.

import net from 'node:net'
import { constants } from 'node:os'
import { ipBytes } from './address.ts'
import { OsError } from './errors.ts'
import { closeFd } from './namespaces.ts'
import { socketIn } from './sockets.ts'

export interface ConnectOptions {
  /** An address, never a name: a look-up would happen in the wrong namespace. */
  readonly ip: string
  readonly port: number
  readonly mark?: number | undefined
  /** Appear to come from this address, which need not be local (IP_TRANSPARENT). */
  readonly sourceIp?: string | undefined
  /** With `sourceIp`: from this port. EADDRINUSE or EADDRNOTAVAIL when it cannot be had. */
  readonly sourcePort?: number | undefined
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
  /** node:net's way to read into a buffer of the caller's instead of the stream. */
  readonly onread?: net.OnReadOpts | undefined
}

/** A connected socket: half-open allowed, no delay, keepalive 180/180/9. The caller owns it and its 'error' event. */
export async function connectIn(nsFd: number | undefined, options: ConnectOptions): Promise<net.Socket> {
  const { ip, port, sourceIp, signal } = options
  signal?.throwIfAborted()
  const about = `to ${ip} port ${port}${sourceIp === undefined ? '' : ` from ${sourceIp}`}`
  const fd = socketIn(nsFd, ipBytes(ip).length === 4 ? 4 : 6, {
    mark: options.mark,
    transparent: sourceIp !== undefined,
    bindIp: sourceIp,
    bindPort: options.sourcePort,
  })
  let socket: net.Socket
  try {
    const onread = options.onread ? { onread: options.onread } : {}
    socket = new net.Socket({ fd, readable: true, writable: true, allowHalfOpen: true, ...onread })
  } catch (cause) {
    closeFd(fd)
    throw cause
  }

  const { promise, resolve, reject } = Promise.withResolvers<net.Socket>()
  const settle = () => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
    socket.removeListener('connect', onConnect)
    socket.removeListener('error', onError)
    socket.removeListener('close', onClose)
  }
  const fail = (cause: unknown) => {
    settle()
    // Whatever the dying socket still reports has its one answer here.
    socket.on('error', () => {})
    socket.destroy()
    reject(cause)
  }
  const onAbort = () => fail(signal?.reason)
  const onError = (cause: Error) => fail(cause)
  const onClose = () => fail(new OsError(constants.errno.ECONNABORTED, 'connect', about))
  const onConnect = () => {
    settle()
    socket.setNoDelay(true)
    resolve(socket)
  }
  const timeoutError = `no answer within ${options.timeoutMs} ms`
  const timer = setTimeout(
    () => fail(new OsError(constants.errno.ETIMEDOUT, 'connect', about, timeoutError)),
    options.timeoutMs,
  )
  signal?.addEventListener('abort', onAbort)
  socket.on('connect', onConnect)
  socket.on('error', onError)
  socket.on('close', onClose)
  try {
    socket.connect({ host: ip, port })
  } catch (cause) {
    // A port that is none. The clock would strike later all the same, for a promise that nobody has.
    fail(cause)
  }
  return promise
}
