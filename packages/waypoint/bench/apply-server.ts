// The controller's end of the configuration stream for apply.ts, in a thread of its own: it sends what it is told to.
import { createServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { parentPort } from 'node:worker_threads'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { discovery } from '@wishbone/proto'
import { type Order, resourcesOf } from './apply-resources.ts'

/** One response, from the thread that measures. */
export interface Push {
  readonly nonce: string
  readonly order: Order
}

/** gRPC's head of a message: not compressed, and its length (grpc, PROTOCOL-HTTP2.md). */
const headBytes = 5

const port = parentPort!
let stream: ServerHttp2Stream | undefined
const server = createServer()
server.on('stream', (opened: ServerHttp2Stream) => {
  stream = opened
  opened.respond({ ':status': 200, 'content-type': 'application/grpc' })
  let rest = Buffer.alloc(0)
  opened.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= headBytes && rest.length >= headBytes + rest.readUInt32BE(1)) {
      const end = headBytes + rest.readUInt32BE(1)
      const { typeUrl, responseNonce } = fromBinary(
        discovery.DeltaDiscoveryRequestSchema,
        rest.subarray(headBytes, end),
      )
      port.postMessage({ typeUrl, nonce: responseNonce })
      rest = rest.subarray(end)
    }
  })
  opened.on('error', () => undefined)
})
port.on('message', ({ nonce, order }: Push) => {
  const { typeUrl, resources } = resourcesOf(order)
  const message = toBinary(
    discovery.DeltaDiscoveryResponseSchema,
    create(discovery.DeltaDiscoveryResponseSchema, {
      typeUrl,
      nonce,
      resources: resources.map(({ name, version, bytes }) => ({ name, version, resource: { typeUrl, value: bytes } })),
    }),
  )
  const head = Buffer.alloc(headBytes)
  head.writeUInt32BE(message.length, 1)
  stream?.write(Buffer.concat([head, message]))
})
server.listen(0, '127.0.0.1', () => port.postMessage({ bound: (server.address() as AddressInfo).port }))
