// Passes queries on to the cluster's nameservers, from inside the pod's namespace and marked, so that they are not captured.
import dgram from 'node:dgram'
import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { connectIn, udpIn } from '@wishbone/runtime/os'
import { DnsFrames, frameOf } from './frames.ts'

export type Transport = 'udp' | 'tcp'

export interface ForwardOptions {
  readonly nsFd: number
  readonly mark: number
  readonly nameservers: readonly string[]
  readonly signal: AbortSignal
}

const attemptMs = 2_000
const rounds = 2

/** Asks the nameservers in turn, twice; rejects when none has answered. */
export async function forwardQuery(query: Buffer, transport: Transport, options: ForwardOptions): Promise<Buffer> {
  const ask = transport === 'udp' ? askUdp : askTcp
  let last: unknown = new Error('no nameserver is configured; see /etc/resolv.conf')
  for (let round = 0; round < rounds; round++)
    for (const server of options.nameservers) {
      options.signal.throwIfAborted()
      try {
        return await ask(query, server, options)
      } catch (cause) {
        last = cause
      }
    }
  throw last
}

function askUdp(query: Buffer, server: string, { nsFd, mark, signal }: ForwardOptions): Promise<Buffer> {
  const v6 = isIPv6(server)
  // A socket of its own for each query: its random port is what keeps forged answers out.
  const fd = udpIn(nsFd, { ip: v6 ? '::' : '0.0.0.0', port: 0, mark })
  const socket = dgram.createSocket(v6 ? 'udp6' : 'udp4')
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const onAbort = (): void => reject(signal.reason)
  const timer = setTimeout(() => reject(new Error(`${server} did not answer within ${attemptMs} ms`)), attemptMs)
  signal.addEventListener('abort', onAbort)
  socket.on('error', reject)
  socket.on('message', (answer, from) => {
    if (from.port === 53 && answer.length >= 12 && answer.readUInt16BE(0) === query.readUInt16BE(0)) resolve(answer)
  })
  socket.bind({ fd }, () => socket.send(query, 53, server, (error) => error && reject(error)))
  return promise.finally(() => {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
    socket.close()
  })
}

async function askTcp(query: Buffer, server: string, { nsFd, mark, signal }: ForwardOptions): Promise<Buffer> {
  const socket = await connectIn(nsFd, { ip: server, port: 53, mark, timeoutMs: attemptMs, signal })
  const frames = new DnsFrames()
  try {
    socket.setTimeout(attemptMs, () => socket.destroy(new Error(`${server} did not answer within ${attemptMs} ms`)))
    socket.write(frameOf(query))
    for await (const chunk of socket) for (const frame of frames.push(chunk as Buffer)) return frame
    throw new Error(`${server} closed the connection without an answer`)
  } finally {
    socket.destroy()
  }
}

/** The nameservers of a resolv.conf; scoped addresses are left out, for the scope belongs to another namespace. */
export function parseNameservers(text: string): readonly string[] {
  return [...text.matchAll(/^\s*nameserver\s+([0-9a-fA-F.:]+)\s*$/gm)].map((match) => match[1]!)
}

export function readNameservers(path = '/etc/resolv.conf'): readonly string[] {
  try {
    return parseNameservers(readFileSync(path, 'utf8'))
  } catch {
    return []
  }
}
