// Our frames and header blocks against node's HTTP/2 (nghttp2), over loopback: an implementation that we did not write.
import * as http2 from 'node:http2'
import * as net from 'node:net'
import { afterEach, expect, test } from 'vitest'
import {
  dynamicTableOff,
  encodeFrame,
  encodeHeaders,
  encodeSettings,
  FrameParser,
  flags,
  frameTypes,
  HeaderBlockAssembler,
  type HeaderField,
  HpackDecoder,
  preface,
} from './index.ts'

const open: { close(): unknown }[] = []
afterEach(() => {
  for (const thing of open.splice(0).reverse()) thing.close()
})

async function listen(server: net.Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push(server)
  return (server.address() as net.AddressInfo).port
}

/** Calls `onHeaders` for every header block on a connection; acknowledges settings. */
function read(
  socket: net.Socket,
  expectPreface: boolean,
  onHeaders: (streamId: number, fields: readonly HeaderField[]) => void,
): void {
  const decoder = new HpackDecoder()
  const assembler = new HeaderBlockAssembler()
  const parser = new FrameParser(
    {
      data: () => assembler.interrupted(),
      dataEnd: () => {},
      frame(type, frameFlags, streamId, payload) {
        if (type === frameTypes.settings && frameFlags === 0) socket.write(encodeSettings([], true))
        const block = assembler.frame(type, frameFlags, streamId, payload)
        if (block !== undefined) onHeaders(streamId, decoder.decode(block.block))
      },
    },
    { expectPreface },
  )
  socket.on('data', (chunk: Buffer) => parser.push(chunk))
  open.push({ close: () => socket.destroy() })
}

test('node as a client: dynamic table, Huffman code of every byte, continuations', async () => {
  // Letters in front of a rare byte make its Huffman code worth while.
  const bytes = Array.from({ length: 223 }, (_, i) => `${'a'.repeat(40)}${String.fromCharCode(33 + i)}`)
  const values = ['a'.repeat(20_000), 'plain', 'plain', ...bytes.filter((value) => !value.endsWith('\x7f'))]
  const received: string[] = []
  const port = await listen(
    net.createServer((socket) => {
      socket.write(encodeSettings([[6, 1 << 20]]))
      read(socket, true, (streamId, fields) => {
        received.push(fields.find(([name]) => name === 'x-value')?.[1] ?? '')
        const status = encodeHeaders([
          [':status', '200'],
          ['x-count', String(received.length)],
        ])
        const first = received.length === 1 ? Buffer.concat([dynamicTableOff, status]) : status
        socket.write(encodeFrame(frameTypes.headers, flags.endHeaders | flags.endStream, streamId, first))
      })
    }),
  )
  const client = http2.connect(`http://127.0.0.1:${port}`, { maxSendHeaderBlockLength: 1 << 20 })
  open.push(client)
  for (const [index, value] of values.entries()) {
    const request = client.request({ ':method': 'CONNECT', ':authority': '10.0.0.1:80', 'x-value': value })
    const headers = await new Promise<http2.IncomingHttpHeaders>((resolve, reject) => {
      request.on('response', resolve).on('error', reject)
    })
    expect(headers['x-count']).toBe(String(index + 1))
    request.close()
  }
  expect(received).toEqual(values)
})

test('node as a server, which allows no dynamic table', async () => {
  const server = http2.createServer({ settings: { headerTableSize: 0 } })
  server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
    stream.respond({ ':status': 200, 'x-echo': `${headers[':authority']} ${headers['baggage']}` })
    stream.end()
  })
  const port = await listen(server)
  const socket = net.connect(port, '127.0.0.1')
  const echoes: string[] = []
  const done = new Promise<void>((resolve, reject) => {
    socket.on('error', reject)
    read(socket, false, (_, fields) => {
      echoes.push(fields.find(([name]) => name === 'x-echo')![1])
      if (echoes.length === 2) resolve()
    })
  })
  socket.write(Buffer.concat([preface, encodeSettings([[2, 0]])]))
  const request = encodeHeaders([
    [':method', 'CONNECT'],
    [':authority', '10.0.0.1:80'],
    ['baggage', 'k8s.pod.name=ä'],
  ])
  socket.write(encodeFrame(frameTypes.headers, flags.endHeaders, 1, Buffer.concat([dynamicTableOff, request])))
  socket.write(encodeFrame(frameTypes.headers, flags.endHeaders, 3, request))
  await done
  expect(echoes.map((echo) => echo.slice(0, 27))).toEqual(['10.0.0.1:80 k8s.pod.name=ä', '10.0.0.1:80 k8s.pod.name=ä'])
})
