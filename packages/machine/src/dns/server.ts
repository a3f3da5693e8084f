// The cluster's DNS server, over UDP and TCP. Names that are not the cluster's and not known outside do not exist.
import { createSocket, type Socket as DatagramSocket } from 'node:dgram'
import { createServer, type Socket } from 'node:net'
import { type Answer as DnsAnswer, decode, encode, type Packet } from 'dns-packet'
import { isV6 } from '../network/plan.ts'
import { type Directory, resolveName } from './records.ts'

const ttl = 5
const authoritative = 1 << 10
const nameError = 3

/** The whole response to one query packet; undefined for what is no query. Pure. */
export function respond(directory: Directory, query: Packet): Packet | undefined {
  if (query.type === 'response') return undefined
  const [question] = query.questions ?? []
  const base = { type: 'response' as const, id: query.id ?? 0, questions: query.questions ?? [] }
  if (!question) return { ...base, flags: 1 }
  const meaning = resolveName(directory, question.name)
  if (meaning.kind === 'unknown') return { ...base, flags: authoritative | nameError, answers: [] }
  const answers: DnsAnswer[] = []
  if (meaning.kind === 'addresses' && (question.type === 'A' || question.type === 'AAAA')) {
    const wanted = meaning.addresses.filter((address) => isV6(address) === (question.type === 'AAAA'))
    const start = Math.floor(Math.random() * Math.max(1, wanted.length))
    for (const address of [...wanted.slice(start), ...wanted.slice(0, start)])
      answers.push({ type: question.type, name: question.name, ttl, data: address })
  }
  if (meaning.kind === 'services' && question.type === 'SRV') {
    for (const record of meaning.records)
      answers.push({ type: 'SRV', name: question.name, ttl, data: { ...record, priority: 0, weight: 1 } })
  }
  return { ...base, flags: authoritative, answers }
}

function safely(directory: Directory, bytes: Buffer): Buffer | undefined {
  try {
    const response = respond(directory, decode(bytes))
    return response && Buffer.from(encode(response))
  } catch {
    // Not DNS.
    return undefined
  }
}

export function serveDatagrams(directory: Directory, udp: DatagramSocket): void {
  udp.on('message', (bytes, peer) => {
    // Who sends without a port wants no answer (RFC 768), and node throws at one.
    const response = peer.port === 0 ? undefined : safely(directory, bytes)
    if (response) udp.send(response, peer.port, peer.address, () => {})
  })
  udp.on('error', () => {})
}

function serveStream(directory: Directory, socket: Socket): void {
  let pending = Buffer.alloc(0)
  socket.setTimeout(10_000, () => socket.destroy())
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk) => {
    pending = Buffer.concat([pending, Buffer.from(chunk)])
    while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
      const length = pending.readUInt16BE(0)
      const response = safely(directory, pending.subarray(2, 2 + length))
      pending = pending.subarray(2 + length)
      if (!response) return void socket.destroy()
      const prefix = Buffer.alloc(2)
      prefix.writeUInt16BE(response.length)
      socket.write(prefix)
      socket.write(response)
    }
  })
}

export async function startDns(directory: Directory, addresses: readonly string[]): Promise<void> {
  for (const address of addresses) {
    const udp = createSocket(isV6(address) ? 'udp6' : 'udp4')
    serveDatagrams(directory, udp)
    await new Promise<void>((resolve) => udp.bind(53, address, resolve))
    const tcp = createServer((socket) => serveStream(directory, socket))
    await new Promise<void>((resolve) => tcp.listen(53, address, resolve))
  }
}
