// Opens the connections that a proxy makes from inside its pod's namespace, and says what their failure means.
import type net from 'node:net'
import type tls from 'node:tls'
import { MeshError } from '@wishbone/core/errors'
import { formatSocketAddress, type SocketAddress } from '@wishbone/core/ip'
import { ports } from '@wishbone/core/names'
import { connectIn } from '@wishbone/runtime/os'
import { connectTls } from '@wishbone/runtime/tls'
import type { ProxyContext } from './context.ts'

export interface DialOptions {
  readonly nsFd: number
  readonly sourceIp?: string | undefined
  readonly sourcePort?: number | undefined
  readonly signal: AbortSignal
}

/** A TCP connection with our mark. Rejects with MeshError connect-failed, connect-timeout or network-policy. */
export async function dial(context: ProxyContext, target: SocketAddress, options: DialOptions): Promise<net.Socket> {
  const { mark, connectTimeoutMs } = context.settings
  try {
    return await connectIn(options.nsFd, {
      ...target,
      mark,
      sourceIp: options.sourceIp,
      sourcePort: options.sourcePort,
      timeoutMs: connectTimeoutMs,
      signal: options.signal,
    })
  } catch (cause) {
    throw dialError(target, cause)
  }
}

/** The TLS connection of a tunnel, as `identity`; the server must be one of `expected`. */
export async function dialTls(
  context: ProxyContext,
  hop: SocketAddress,
  identity: string,
  expected: readonly string[],
  options: DialOptions,
): Promise<tls.TLSSocket> {
  const certificate = await context.certificates.get(identity)
  const socket = await dial(context, hop, options)
  return connectTls(socket, { certificate, expectedIdentities: expected, signal: options.signal })
}

/** What a failed connect means. Exported for its test. */
export function dialError(target: SocketAddress, cause: unknown): MeshError {
  if (cause instanceof MeshError) return cause
  const where = formatSocketAddress(target.ip, target.port)
  const code = (cause as NodeJS.ErrnoException | undefined)?.code
  if (code !== 'ETIMEDOUT')
    return new MeshError('connect-failed', `cannot connect to ${where}`, { at: 'upstream', cause })
  if (target.port === ports.hbone)
    return new MeshError('network-policy', `${where} does not answer`, {
      at: 'upstream',
      cause,
      hint: 'maybe a NetworkPolicy is blocking HBONE port 15008',
    })
  return new MeshError('connect-timeout', `${where} does not answer`, { at: 'upstream', cause })
}
