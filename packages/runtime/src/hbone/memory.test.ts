import { expect, test } from 'vitest'
import { Holdings, ReadMemory } from './memory.ts'

/** A connection: what node would read into, and how it says that it has. */
function connection() {
  const memory = new ReadMemory()
  const chunks: Buffer[] = []
  const reader = memory.reader((chunk) => chunks.push(memory.keep(chunk)))
  let region = reader.buffer()
  /** Reads `byte`, so often, in one piece. */
  const read = (byte: number, length: number) => {
    region.fill(byte, 0, length)
    reader.filled(length)
    region = reader.buffer()
  }
  return { memory, chunks, read }
}

const record = 16 << 10

test('a quiet connection gets its bytes copied, a busy one reads into a slab', () => {
  const one = connection()
  const other = connection()
  one.read(1, 100)
  other.read(2, 100)
  expect(one.chunks[0]).toEqual(Buffer.alloc(100, 1))
  one.read(3, record)
  expect(one.memory.slab).toBeDefined()
  one.read(4, record)
  other.read(5, record)
  other.read(6, record)
  expect(one.chunks.at(-1)).toEqual(Buffer.alloc(record, 4))
  one.read(7, 10)
  expect(one.memory.slab).toBeUndefined()
})

test('what a closed connection still reads gets into the memory of no other', () => {
  const closed = connection()
  closed.read(1, record)
  closed.read(1, record)
  closed.memory.close()
  const others = Array.from({ length: 20 }, connection)
  for (const other of others) other.read(2, record)
  for (const other of others) other.read(3, record)
  for (let i = 0; i < 40; i++) closed.read(9, record)
  for (const other of others) expect(other.chunks.at(-1)).toEqual(Buffer.alloc(record, 3))
})

test('what a connection still reads that was closed over a read leaves what came in that read alone', () => {
  const memory = new ReadMemory()
  const kept: Buffer[] = []
  let closes = false
  const reader = memory.reader((chunk) => {
    kept.push(memory.keep(chunk))
    if (closes) memory.close()
  })
  const read = (byte: number) => {
    reader.buffer().fill(byte)
    reader.filled(record)
  }
  read(1)
  closes = true
  read(2)
  for (let i = 0; i < 3; i++) read(9)
  expect(kept[1]).toEqual(Buffer.alloc(record, 2))
})

test('a stream that stands still beside a busy one holds little more memory than it has bytes', () => {
  const memory = new ReadMemory()
  const stalled = new Holdings()
  const kept: Buffer[] = []
  let reads = 0
  const reader = memory.reader((chunk) => {
    // Once in each slab a byte is for the stalled stream; everything else is consumed at once.
    if (reads++ % 16 !== 0) return
    kept.push(memory.keep(chunk.subarray(0, 1)))
    stalled.add(memory.slab, 1)
  })
  const pinned = () => {
    const buffers = new Set(kept.map(({ buffer }) => buffer))
    return [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0)
  }
  for (let i = 0; i < 16 * 500; i++) {
    reader.buffer()
    reader.filled(record)
  }
  expect(kept).toHaveLength(500)
  expect(pinned()).toBeLessThan(20 << 20)
  // When the stream goes on, so does reading without copies.
  stalled.release(500)
  reader.filled(record)
  expect(memory.slab).toBeDefined()
})
