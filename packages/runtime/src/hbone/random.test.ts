// Many streams of one session with random pieces, pauses, ends and resets: what is read, whenever that is, is what was written, and no
// stream stands still. The session lives through several rounds, so that window lost in one is missed in the next.
import { createHash } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '@wishbone/core/errors'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { toDuplex } from './duplex.ts'
import { pipeSocket } from './pipe.ts'
import { sessionPair, tcpPair } from './testing.ts'
import type { SessionSettings, Tunnel, TunnelSink } from './types.ts'

type Random = () => number

/** Numbers in [0, 1) that a seed repeats (mulberry32). */
function randomOf(seed: number): Random {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b_79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const below = (random: Random, limit: number): number => Math.floor(random() * limit)
const oneOf = <T>(random: Random, values: readonly T[]): T => values[below(random, values.length)]!

/** Runs of single bytes, runs of small pieces, and large ones: what is read fast and what is put together alternate. */
function* pieces(random: Random): Generator<Buffer> {
  for (let runs = 1 + below(random, 6); runs > 0; runs--) {
    const [most, count] = oneOf(random, [
      [1, 400],
      [40, 300],
      [2_000, 100],
      [30_000, 10],
      [300 << 10, 4],
    ] as const)
    for (let left = below(random, count); left > 0; left--) {
      const piece = Buffer.alloc(1 + below(random, most), below(random, 256))
      for (let i = 0; i < piece.length; i += 16) piece[i] = below(random, 256)
      yield piece
    }
  }
}

/** One direction as its two ends see it. */
class Direction {
  readonly written = createHash('sha256')
  readonly read = createHash('sha256')
  sent = 0
  received = 0
  readonly end = Promise.withResolvers<void>()

  /** A request whose answer is waited for before anything follows: it must arrive without that. */
  async arrived(): Promise<void> {
    while (this.received < this.sent) await sleep(1)
  }
}

/** Writes in random pieces as far as it may, ends, and reads so late that every chunk is looked at when it is given back. */
class RandomEnd implements TunnelSink {
  readonly #tunnel: Tunnel
  readonly #random: Random
  readonly #out: Direction
  readonly #in: Direction
  readonly #chunks: Buffer[] = []
  readonly #closed = Promise.withResolvers<void>()
  #room = Promise.withResolvers<void>()
  #reading = false

  constructor(tunnel: Tunnel, random: Random, out: Direction, into: Direction) {
    this.#tunnel = tunnel
    this.#random = random
    this.#out = out
    this.#in = into
  }

  async run(): Promise<void> {
    if (this.#random() < 0.3) await sleep(below(this.#random, 30))
    this.#tunnel.attach(this)
    for (const piece of pieces(this.#random)) {
      this.#out.written.update(piece)
      this.#out.sent += piece.length
      this.#room = Promise.withResolvers()
      const room = this.#tunnel.write(piece)
      piece.fill(0)
      if (!room) await this.#room.promise
      if (this.#random() < 0.003) await sleep(below(this.#random, 10))
    }
    if (this.#random() < 0.5) await this.#out.arrived()
    this.#tunnel.end()
    await this.#closed.promise
  }

  data(chunk: Buffer): void {
    this.#chunks.push(chunk)
    if (!this.#reading) void this.#readOn()
  }

  async #readOn(): Promise<void> {
    this.#reading = true
    while (this.#chunks.length > 0) {
      const dice = this.#random()
      if (dice < 0.01) await sleep(below(this.#random, 15))
      else if (dice < 0.3) await new Promise(setImmediate)
      let taken = 0
      for (const chunk of this.#chunks.splice(0, 1 + below(this.#random, 100))) {
        this.#in.read.update(chunk)
        taken += chunk.length
      }
      this.#in.received += taken
      this.#tunnel.consumed(taken)
    }
    this.#reading = false
    if (this.#tunnel.received === this.#in.received && this.#ended) this.#in.end.resolve()
  }

  #ended = false

  end(): void {
    this.#ended = true
    if (!this.#reading) this.#in.end.resolve()
  }

  drain(): void {
    this.#room.resolve()
  }

  closed(error: MeshError | undefined): void {
    this.#room.resolve()
    if (error === undefined) this.#closed.resolve()
    else this.#closed.reject(error)
  }
}

/** The same through sockets or Node streams of either end. */
async function runStream(stream: Duplex, random: Random, out: Direction, into: Direction): Promise<void> {
  stream.on('data', (chunk: Buffer) => {
    into.read.update(chunk)
    into.received += chunk.length
    if (random() > 0.03) return
    stream.pause()
    setTimeout(() => stream.resume(), below(random, 8))
  })
  stream.on('end', () => into.end.resolve())
  for (const piece of pieces(random)) {
    out.written.update(piece)
    out.sent += piece.length
    if (!stream.write(piece)) await new Promise((resolve) => stream.once('drain', resolve))
    if (random() < 0.003) await sleep(below(random, 10))
  }
  if (random() < 0.5) await out.arrived()
  stream.end()
}

async function runEnd(tunnel: Tunnel, random: Random, out: Direction, into: Direction): Promise<void> {
  const kind = oneOf(random, ['sink', 'socket', 'duplex'] as const)
  if (kind === 'sink') return new RandomEnd(tunnel, random, out, into).run()
  if (kind === 'duplex') return runStream(toDuplex(tunnel), random, out, into)
  const [app, inner] = await tcpPair()
  pipeSocket(tunnel, inner)
  return runStream(app, random, out, into)
}

test('random pieces, pauses and ends in many streams of a session arrive as they were sent', async () => {
  const seeds = fc.record({
    seed: fc.integer(),
    streamWindow: fc.constantFrom(70_000, 300_000, 4 << 20),
    connectionWindow: fc.constantFrom(100_000, 1 << 20, 16 << 20),
  })
  await fc.assert(
    fc.asyncProperty(seeds, async ({ seed, ...windows }) => {
      const random = randomOf(seed)
      const settings: Partial<SessionSettings> = windows
      const accepted = new Map<string, (tunnel: Tunnel) => void>()
      const pair = await sessionPair(
        { settings, onConnect: (request) => accepted.get(request.authority)!(request.accept()) },
        { settings },
      )
      const open = async (name: string): Promise<[Tunnel, Tunnel]> => {
        const far = new Promise<Tunnel>((resolve) => accepted.set(name, resolve))
        return [await pair.client.open(name, {}), await far]
      }
      const carry = async (name: string) => {
        const [near, far] = await open(name)
        const [up, down] = [new Direction(), new Direction()]
        await Promise.all([
          runEnd(near, randomOf(below(random, 2 ** 31)), up, down),
          runEnd(far, randomOf(below(random, 2 ** 31)), down, up),
          up.end.promise,
          down.end.promise,
        ])
        for (const { sent, received, written, read } of [up, down]) {
          expect(received).toBe(sent)
          expect(read.digest('hex')).toBe(written.digest('hex'))
        }
      }
      /** Streams that are reset with much on the way, and read or unread. */
      const breakOff = async (name: string) => {
        const [near, far] = await open(name)
        near.attach({ data: () => undefined, end: () => undefined, drain: () => undefined, closed: () => undefined })
        for (const piece of pieces(random)) far.write(piece)
        await sleep(below(random, 20))
        oneOf(random, [near, far]).reset(new MeshError('client-closed', 'test'))
        far.attach({ data: () => undefined, end: () => undefined, drain: () => undefined, closed: () => undefined })
      }
      for (let round = 0; round < 3; round++)
        await Promise.all([
          ...Array.from({ length: 8 }, (_, i) => carry(`10.0.0.1:${round * 100 + i + 1}`)),
          ...Array.from({ length: 3 }, (_, i) => breakOff(`10.0.0.2:${round * 100 + i + 1}`)),
        ])
      await expect.poll(() => pair.client.streams + pair.server.streams).toBe(0)
      await Promise.all([pair.client.drain(), pair.server.closed])
    }),
    { numRuns: 6, endOnFailure: true, timeout: 15_000 },
  )
}, 100_000)
