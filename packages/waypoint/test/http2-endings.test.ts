// How responses of backends end over HTTP/2: what is cut off is broken off towards the client, in time, and what is whole is not.
import http from 'node:http'
import type net from 'node:net'
import { l7 } from '@wishbone/proto'
import { afterEach, describe, expect, test } from 'vitest'
import { startWorld, to, type World } from './harness.ts'
import { ask, type Backend, tcpBackend } from './servers.ts'

let world: World
const open: Backend[] = []

afterEach(async () => {
  await world.waypoint.close()
  for (const one of open.splice(0)) one.close()
})

function frame(type: number, flags: number, streamId: number, payload: Buffer | string = ''): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(streamId, 5)
  return Buffer.concat([head, Buffer.from(payload as string)])
}

const settings = Buffer.concat([frame(4, 0, 0), frame(4, 1, 0)])
/** ":status: 200" from the static table. */
const head = (streamId: number) => frame(1, 4, streamId, Buffer.from([0x88]))
const data = (streamId: number, text: string, isLast = false) => frame(0, isLast ? 1 : 0, streamId, text)
const reset = (streamId: number, code: number) => frame(3, 0, streamId, Buffer.from([0, 0, 0, code]))
const goaway = (lastStreamId: number) => frame(7, 0, 0, Buffer.from([0, 0, 0, lastStreamId, 0, 0, 0, 0]))

/** A backend that reads no more of HTTP/2 than it needs to answer each request with `answer`. */
async function start(
  answer: (socket: net.Socket, streamId: number) => void,
): Promise<{ readonly connections: number }> {
  const seen = { connections: 0 }
  const backend = await tcpBackend((socket) => {
    seen.connections++
    socket.write(settings)
    let rest = Buffer.alloc(0)
    let at = 24
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      for (let end = at + 9; end <= rest.length; end = at + 9) {
        if (rest[at + 3] === 1) answer(socket, rest.readUInt32BE(at + 5))
        at = end + rest.readUIntBE(at, 3)
      }
    })
  })
  open.push(backend)
  world = await startWorld({ app: [backend.port] }, [{ backends: [to('app', 1, l7.Protocol.HTTP2)] }])
  return seen
}

/** What of the answer came, and whether it ended well. */
function askFor(uploads: boolean): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const method = uploads ? 'POST' : 'GET'
  const request = http.request({ port: world.port, host: '127.0.0.1', method, agent: false })
  request.on('error', () => resolve('none'))
  request.on('response', (response) => {
    let text = ''
    response.on('data', (chunk) => (text += chunk))
    response.on('end', () => resolve(`${text}, whole`))
    response.on('error', () => resolve(`${text}, broken off`))
  })
  if (uploads) request.write('x'.repeat(20_000))
  else request.end()
  open.push({ port: 0, close: () => request.destroy() })
  return promise
}

const endings: readonly (readonly [what: string, expected: string, (socket: net.Socket, id: number) => void])[] = [
  ['the end of its connection', 'part, broken off', (socket) => socket.end()],
  ['GOAWAY and the end of its connection', 'part, broken off', (socket, id) => socket.end(goaway(id))],
  ['a reset of its stream', 'part, broken off', (socket, id) => socket.write(reset(id, 2))],
  ['a reset of its stream with NO_ERROR', 'part, broken off', (socket, id) => socket.write(reset(id, 0))],
  ['its end', 'part, whole', (socket, id) => socket.write(data(id, '', true))],
  ['its end, and that of its connection', 'part, whole', (socket, id) => socket.end(data(id, '', true))],
  [
    'its end, and a reset with NO_ERROR',
    'part, whole',
    (socket, id) => socket.write(Buffer.concat([data(id, '', true), reset(id, 0)])),
  ],
]

describe.each([
  ['that has ended', false],
  ['that goes on', true],
])('for a request %s', (_which, uploads) => {
  test.each(endings)('after a part %s comes at once', async (_what, expected, end) => {
    await start((socket, id) => {
      socket.cork()
      socket.write(Buffer.concat([head(id), data(id, 'part')]))
      end(socket, id)
      socket.uncork()
    })
    expect(await askFor(uploads)).toBe(expected)
  })
  test.each(endings)('after a part %s comes later', async (_what, expected, end) => {
    await start((socket, id) => {
      socket.write(Buffer.concat([head(id), data(id, 'part')]))
      setTimeout(end, 30, socket, id)
    })
    expect(await askFor(uploads)).toBe(expected)
  })
})

test('a connection that its backend has ended carries no other request', async () => {
  const seen = await start((socket, id) =>
    socket.write(Buffer.concat([head(id), data(id, 'ok', true)]), () => socket.end()),
  )
  for (let round = 1; round <= 3; round++) {
    expect(await ask(world.port, { method: 'POST', body: 'b' })).toMatchObject({ status: 200, body: 'ok' })
    expect(seen.connections).toBe(round)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
})
