// Takes the PROXY protocol header off the beginning of a connection; what follows it stays in the stream.
import type { Duplex } from 'node:stream'
import { type Decision, readFirstBytes } from './first-bytes.ts'
import { type ProxyAddress, type ProxyHeader, parseProxyHeader } from './proxy-protocol.ts'

const headerMs = 5_000

/** Undefined: the load balancer speaks for itself. Rejects when there is no header, or not in time. */
export async function readProxyHeader(stream: Duplex): Promise<ProxyAddress | undefined> {
  const first = await readFirstBytes(stream, headerMs, decide)
  if (first.kind !== 'decided')
    throw new Error(first.kind === 'silent' ? 'its header took too long' : 'the connection ended in its header')
  if (first.value.kind === 'invalid') throw new Error(first.value.reason)
  return first.value.client
}

function decide(bytes: Buffer): Decision<Exclude<ProxyHeader, { kind: 'incomplete' }>> {
  const value = parseProxyHeader(bytes)
  if (value.kind === 'incomplete') return 'more'
  return { value, taken: value.kind === 'header' ? value.length : 0 }
}
