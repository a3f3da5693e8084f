// Listens on the node's uplink for some seconds and says what could be read there, as one line of JSON.
//   wiretap --seconds 3 [--find TEXT]...
// Runs in the node's network namespace with CAP_NET_RAW.
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { capturePackets } from '@wishbone/runtime/os'

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '3' }, find: { type: 'string', multiple: true, default: [] } },
})

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

function look(frame: Buffer): void {
  if (frame.length < ethernetHeader + 40) return
  const offset = tcpOffset(frame)
  if (offset === undefined || frame.length < offset + 20) return
  packets++
  for (const port of [frame.readUInt16BE(offset), frame.readUInt16BE(offset + 2)]) {
    if (port < 32_768) tcpPorts[port] = (tcpPorts[port] ?? 0) + 1
  }
  const payload = frame.subarray(offset + ((frame[offset + 12] ?? 0) >> 4) * 4)
  for (const text of values.find) if (payload.includes(text)) found[text] = (found[text] ?? 0) + 1
}

const name = uplink()
const capture = capturePackets(undefined, name, look)
setTimeout(() => {
  capture.close()
  process.stdout.write(`${JSON.stringify({ interface: name, packets, tcpPorts, found })}\n`, () => process.exit(0))
}, Number(values.seconds) * 1000)
