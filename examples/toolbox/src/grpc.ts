// A gRPC service without a .proto of its own: messages are UTF-8 strings. Unary, server streaming and
// bidirectional calls, an error, and trailers.
import * as grpc from '@grpc/grpc-js'

const text = {
  serialize: (value: string) => Buffer.from(value, 'utf8'),
  deserialize: (bytes: Buffer) => bytes.toString('utf8'),
}

function method(name: string, requestStream: boolean, responseStream: boolean): grpc.MethodDefinition<string, string> {
  return {
    path: `/toolbox.Echo/${name}`,
    requestStream,
    responseStream,
    requestSerialize: text.serialize,
    requestDeserialize: text.deserialize,
    responseSerialize: text.serialize,
    responseDeserialize: text.deserialize,
  }
}

/** toolbox.Echo: Say (unary), Count (server streaming: n messages), Chat (bidirectional), Fail (status 9). */
export const echoService = {
  Say: method('Say', false, false),
  Count: method('Count', false, true),
  Chat: method('Chat', true, true),
  Fail: method('Fail', false, false),
}

/** Serves toolbox.Echo on `port`, without TLS; resolves when it listens. */
export function startGrpc(port: number, name: string): Promise<grpc.Server> {
  const server = new grpc.Server()
  const trailers = (): grpc.Metadata => {
    const metadata = new grpc.Metadata()
    metadata.set('x-trailer-from', name)
    return metadata
  }
  server.addService(echoService, {
    Say: (call: grpc.ServerUnaryCall<string, string>, done: grpc.sendUnaryData<string>) =>
      done(null, `${name}: ${call.request}`, trailers()),
    Count: (call: grpc.ServerWritableStream<string, string>) => {
      const total = Number(call.request)
      for (let index = 1; index <= total; index++) call.write(String(index))
      call.end(trailers())
    },
    Chat: (call: grpc.ServerDuplexStream<string, string>) => {
      call.on('data', (message: string) => call.write(`${name}: ${message}`))
      call.on('end', () => call.end(trailers()))
      call.on('error', () => call.destroy())
    },
    Fail: (_call: grpc.ServerUnaryCall<string, string>, done: grpc.sendUnaryData<string>) =>
      done({ code: grpc.status.FAILED_PRECONDITION, details: 'asked to fail' }),
  })
  return new Promise((resolve, reject) => {
    server.bindAsync(`[::]:${port}`, grpc.ServerCredentials.createInsecure(), (error) => {
      if (!error) return resolve(server)
      server.bindAsync(`0.0.0.0:${port}`, grpc.ServerCredentials.createInsecure(), (second) =>
        second ? reject(second) : resolve(server),
      )
    })
  })
}
