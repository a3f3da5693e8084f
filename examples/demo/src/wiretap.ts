// Listens on the node's uplink for some seconds, after a first line that says so, and then says what could be read there, as one
// line of JSON.
//   wiretap [--seconds 3 | --until-end] [--find TEXT]... [--host IP] [--tls PORT]
// With --until-end it listens until its standard input ends. Of all TCP, or of one host's; with --tls also whether the connections
// to that port are TLS.
// Runs in the node's network namespace with CAP_NET_RAW.
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { capturePackets } from '@wishbone/runtime/os'
import { TlsFlows } from './tls-flows.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    'until-end': { type: 'boolean', default: false },
    find: { type: 'string', multiple: true, default: [] },
    // IPv4 only.
    host: { type: 'string' },
    tls: { type: 'string' },
  },
})
const tlsPort = Number(values.tls ?? 0)
const flows = new TlsFlows()

/** The interface of the default route: the way off this node. */
function uplink(): string {
  for (const line of readFileSync('/proc/net/route', 'utf8').split('\n').slice(1)) {
    const [name, destination] = line.split('\t')
    if (name && destination === '00000000') return name
  }
  for (const line of readFileSync('/proc/net/ipv6_route', 'utf8').split('\n')) {
    const fields = line.trim().split(/\s+/)
    const name = fields[9]
    if (/^0{32}$/.test(fields[0] ?? '') && fields[1] === '00' && name && name !== 'lo') return name
  }
  throw new Error('this node has no default route')
}

const ethernetHeader = 14
const found: Record<string, number> = Object.fromEntries(values.find.map((text) => [text, 0]))
const tcpPorts: Record<string, number> = {}
let packets = 0

/** Offset of the TCP header, for IPv4 and IPv6 without extension headers; undefined for anything else. */
function tcpOffset(frame: Buffer): number | undefined {
  const type = frame.readUInt16BE(12)
  if (type === 0x0800 && frame[ethernetHeader + 9] === 6)
    return ethernetHeader + ((frame[ethernetHeader] ?? 0) & 15) * 4
  if (type === 0x86dd && frame[ethernetHeader + 6] === 6) return ethernetHeader + 40
  return undefined
}

/** The IPv4 address in the frame's header, 12 bytes in for the source, 16 for the destination; '' for IPv6. */
function addressAt(frame: Buffer, at: 12 | 16): string {
  if (frame.readUInt16BE(12) !== 0x0800) return ''
  return frame.subarray(ethernetHeader + at, ethernetHeader + at + 4).join('.')
}

function look(frame: Buffer): void {
  if (frame.length < ethernetHeader + 40) return
  const offset = tcpOffset(frame)
  if (offset === undefined || frame.length < offset + 20) return
  const [from, to] = [addressAt(frame, 12), addressAt(frame, 16)]
  if (values.host !== undefined && from !== values.host && to !== values.host) return
  packets++
  const [source, destination] = [frame.readUInt16BE(offset), frame.readUInt16BE(offset + 2)]
  for (const port of [source, destination]) if (port < 32_768) tcpPorts[port] = (tcpPorts[port] ?? 0) + 1
  // Short frames are padded: the IP header says where the packet ends.
  const end = frame.readUInt16BE(12) === 0x0800 ? ethernetHeader + frame.readUInt16BE(ethernetHeader + 2) : frame.length
  const payload = frame.subarray(
    offset + ((frame[offset + 12] ?? 0) >> 4) * 4,
    end > ethernetHeader ? end : frame.length,
  )
  if (tlsPort > 0 && (source === tlsPort || destination === tlsPort))
    flows.add({
      from: `${from}:${source}`,
      to: `${to}:${destination}`,
      toServer: destination === tlsPort,
      syn: ((frame[offset + 13] ?? 0) & 2) !== 0,
      sequence: frame.readUInt32BE(offset + 4),
      payload,
    })
  for (const text of values.find) if (payload.includes(text)) found[text] = (found[text] ?? 0) + 1
}

const name = uplink()
const capture = capturePackets(undefined, name, look)
process.stdout.write(`${JSON.stringify({ listening: name })}\n`)
function finish(): void {
  capture.close()
  const seen = { interface: name, packets, tcpPorts, found, tls: flows.summary() }
  process.stdout.write(`${JSON.stringify(seen)}\n`, () => process.exit(0))
}
// What has been sent just now is still to be read from the socket.
if (values['until-end']) process.stdin.resume().on('end', () => setTimeout(finish, 300))
else setTimeout(finish, Number(values.seconds) * 1000)
