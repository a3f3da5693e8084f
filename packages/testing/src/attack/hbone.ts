// Attacks on an HBONE port, run as a program in a pod: `node hbone.ts JSON`. Prints one line of JSON: what came of each, and
// whether an honest tunnel still worked afterwards.
import { readFileSync } from 'node:fs'
import net from 'node:net'
import {
  block,
  type Credentials,
  connect,
  dial,
  frame,
  preface,
  type Seen,
  settings,
  uint32,
  type Wire,
} from './wire.ts'

export interface HboneTask {
  readonly host: string
  /** Authority of a server that speaks HTTP, as the port is to be asked for. */
  readonly good: string
  /** Authority of a server that sends back what it gets. */
  readonly echo: string
  /** Files with key and chain. */
  readonly honest: string
  readonly foreign: string
  readonly wrongAuthorities: readonly string[]
}

export interface HboneFinding extends Seen {
  /** Status of an honest request right after. */
  readonly after: number
  readonly ms: number
}

const task = JSON.parse(process.argv[2] ?? '{}') as HboneTask
const read = (path: string): Credentials => JSON.parse(readFileSync(path, 'utf8')) as Credentials
const honest = read(task.honest)
const port = 15008

const open = (): Promise<Wire> => dial(task.host, port, { credentials: honest })
const started = async (): Promise<Wire> => (await open()).send(preface, settings)

/** A whole honest request through a tunnel of its own; the status of the application's answer. */
async function honestRequest(): Promise<number> {
  const wire = await started()
  wire.send(connect(1, task.good))
  await wire.until((seen) => seen.statuses[1] !== undefined || seen.resets[1] !== undefined)
  wire.send(frame(0, 0, 1, Buffer.from('GET / HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n')))
  const seen = await wire.until(({ data }) => /^HTTP\/1.1 \d+/.test(data[1] ?? ''))
  wire.destroy()
  return Number(/^HTTP\/1.1 (\d+)/.exec(seen.data[1] ?? '')?.[1] ?? 0)
}

const ends = (seen: Seen): boolean => seen.goaway !== undefined
const answered = (stream: number) => (seen: Seen) => seen.statuses[stream] !== undefined || ends(seen)
const many = (count: number, make: (index: number) => Uint8Array): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, index) => make(index)))
const get = { ':method': 'GET', ':scheme': 'http', ':path': '/', ':authority': task.good }

const attacks: Readonly<Record<string, () => Promise<Seen>>> = {
  noCertificate: async () => (await dial(task.host, port, {})).send(preface, settings).until(() => false),
  foreignCertificate: async () =>
    (await dial(task.host, port, { credentials: read(task.foreign) })).send(preface, settings).until(() => false),
  tls12: async () => (await dial(task.host, port, { credentials: honest, version: 'TLSv1.2' })).until(() => false),
  noAlpn: async () => (await dial(task.host, port, { credentials: honest, alpn: [] })).send(preface).until(() => false),
  otherAlpn: async () => (await dial(task.host, port, { credentials: honest, alpn: ['http/1.1'] })).until(() => false),
  plaintext: async () => {
    const { Wire } = await import('./wire.ts')
    return new Wire(net.connect({ host: task.host, port }))
      .send(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
      .until(() => false)
  },
  garbage: async () => (await open()).send(Buffer.alloc(4096, 0xa5)).until(ends),
  http1: async () => (await open()).send(Buffer.from('CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n')).until(ends),
  dataOnStreamZero: async () => (await started()).send(frame(0, 0, 0, Buffer.from('x'))).until(ends),
  dataOnIdleStream: async () => (await started()).send(frame(0, 0, 7, Buffer.from('x'))).until(ends),
  evenStream: async () => (await started()).send(connect(2, task.good)).until(ends),
  hugeFrame: async () => (await started()).send(Buffer.from([0xff, 0xff, 0xff, 1, 4, 0, 0, 0, 1])).until(ends),
  badHpack: async () =>
    (await started()).send(frame(1, 0x4, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))).until(ends),
  badPadding: async () => (await started()).send(frame(1, 0xc, 1, Buffer.from([200, 1, 2]))).until(ends),
  interruptedHeaders: async () =>
    (await started()).send(frame(1, 0, 1, block(get)), frame(6, 0, 0, Buffer.alloc(8))).until(ends),
  pushPromise: async () => (await started()).send(frame(5, 0x4, 1, uint32(2))).until(ends),
  badSettings: async () =>
    (await started()).send(frame(4, 0, 0, Buffer.from([0, 4, 0xff, 0xff, 0xff, 0xff]))).until(ends),
  windowOverflow: async () =>
    (await started()).send(frame(8, 0, 0, uint32(0x7fff_ffff)), frame(8, 0, 0, uint32(0x7fff_ffff))).until(ends),
  hugeHeaders: async () => {
    const big = Object.fromEntries(Array.from({ length: 4 }, (_, index) => [`x-big-${index}`, 'a'.repeat(15_000)]))
    const fields = Buffer.concat([block({ ':method': 'CONNECT', ':authority': task.good, ...big }), block(big)])
    const parts = Array.from({ length: Math.ceil(fields.length / 16_000) }, (_, index) =>
      fields.subarray(index * 16_000, (index + 1) * 16_000),
    )
    return (await started())
      .send(...parts.map((part, index) => frame(index === 0 ? 1 : 9, index === parts.length - 1 ? 4 : 0, 1, part)))
      .until(answered(1))
  },
  hpackBomb: async () => {
    // One entry of 4000 bytes in the table, then 20000 references to it.
    const name = Buffer.concat([
      Buffer.of(0x40, 1),
      Buffer.from('x'),
      Buffer.from([127, 0xa1, 0x1e]),
      Buffer.alloc(4000, 97),
    ])
    return (await started())
      .send(frame(1, 0, 1, name), frame(9, 0, 1, Buffer.alloc(16_000, 0xbe)), frame(9, 4, 1, Buffer.alloc(4_000, 0xbe)))
      .until(answered(1))
  },
  continuationFlood: async () =>
    (await started())
      .send(
        frame(1, 0, 1, block(get)),
        many(20_000, () => frame(9, 0, 1)),
      )
      .until(ends),
  rapidReset: async () =>
    (await started())
      .send(
        many(4_000, (index) =>
          Buffer.concat([connect(2 * index + 1, task.good), frame(3, 0, 2 * index + 1, uint32(8))]),
        ),
      )
      .until(ends, 6_000),
  settingsFlood: async () => (await started()).send(many(5_000, () => settings)).until(ends),
  pingFlood: async () => (await started()).send(many(5_000, () => frame(6, 0, 0, Buffer.alloc(8)))).until(ends),
  emptyDataFlood: async () => {
    const wire = await started()
    wire.send(connect(1, task.good))
    await wire.until(answered(1))
    return wire.send(many(20_000, () => frame(0, 0, 1))).until(ends)
  },
  unknownFrames: async () =>
    (await started()).send(many(20_000, () => frame(0x77, 0, 0, Buffer.alloc(16)))).until(ends),
  tooManyStreams: async () =>
    (await started())
      .send(many(201, (index) => connect(2 * index + 1, task.good)))
      .until((seen) => seen.resets[401] !== undefined),
  beyondWindow: async () => {
    // The echo's answers find no window here, so that it stops reading; what comes then has no room at the other end.
    const wire = await started()
    wire.send(connect(1, task.echo))
    await wire.until(answered(1))
    return wire.send(many(96, () => frame(0, 0, 1, Buffer.alloc(1 << 18)))).until(ends, 5_000)
  },
  deafClient: async () => {
    // Never reads, and asks for what costs an answer each, until its connection is closed: the kernels between take some megabytes
    // of answers first, as those of a client that is only slow, and what has overflowed is cut off 5 s later.
    const wire = await started()
    wire.pause()
    const end = Date.now() + 25_000
    for (let index = 0; Date.now() < end && !wire.seen.closed; ) {
      if (wire.unsent < 4 << 20) {
        const first = index
        index += 2_000
        wire.send(many(2_000, (next) => connect(2 * (first + next) + 1, 'nothing')))
      }
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    return wire.seen
  },
  get: async () => (await started()).send(frame(1, 0x5, 1, block(get))).until(answered(1)),
  noAuthority: async () => (await started()).send(frame(1, 0x5, 1, block({ ':method': 'CONNECT' }))).until(answered(1)),
  badAuthority: async () => (await started()).send(connect(1, 'not an authority')).until(answered(1)),
  portOfProxy: async () => (await started()).send(connect(1, task.good.replace(/:\d+$/, ':15001'))).until(answered(1)),
  portZero: async () => (await started()).send(connect(1, task.good.replace(/:\d+$/, ':0'))).until(answered(1)),
  closedPort: async () => (await started()).send(connect(1, task.good.replace(/:\d+$/, ':6'))).until(answered(1)),
  ...Object.fromEntries(
    task.wrongAuthorities.map((authority) => [
      `authority ${authority}`,
      async () => (await started()).send(connect(1, authority)).until(answered(1)),
    ]),
  ),
  halfOpen: async () => {
    // The client ends its direction in the middle of a frame and waits.
    const wire = await started()
    return wire.send(connect(1, task.good).subarray(0, 12)).until(() => false, 300)
  },
}

const findings: Record<string, HboneFinding> = {}
for (const [name, attack] of Object.entries(attacks)) {
  const startedMs = Date.now()
  const seen = await attack().catch((cause: Error) => ({ error: cause.message }) as Seen)
  const ms = Date.now() - startedMs
  // Of thousands of streams the last ones will do.
  const statuses = Object.fromEntries(Object.entries(seen.statuses ?? {}).slice(-2))
  const resets = Object.fromEntries(Object.entries(seen.resets ?? {}).slice(-2))
  findings[name] = { ...seen, statuses, resets, data: {}, ms, after: await honestRequest() }
}
process.stdout.write(`${JSON.stringify(findings)}\n`, () => process.exit(0))
