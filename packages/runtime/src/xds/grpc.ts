// gRPC from protobuf descriptors: codecs for @grpc/grpc-js made of @bufbuild/protobuf, and channels as the mesh opens them.
import { readFile } from 'node:fs/promises'
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodBiDiStreaming,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf'
import grpc from '@grpc/grpc-js'
import { LimitedCredentials } from './credentials.ts'

type Definition = grpc.MethodDefinition<unknown, unknown>

/** The definition for `grpc.Server.addService`; handlers go by the methods' local names (`createCertificate`). */
export function grpcServiceOf(service: DescService): grpc.ServiceDefinition {
  return Object.fromEntries(service.methods.map((method) => [method.localName, grpcMethodOf(method)]))
}

/** Path and codecs of one method. */
export function grpcMethodOf(method: DescMethod): Definition {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    originalName: method.localName,
    requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
    responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
    requestSerialize: encoder(method.input),
    requestDeserialize: decoder(method.input),
    responseSerialize: encoder(method.output),
    responseDeserialize: decoder(method.output),
  }
}

/** Accepts messages, and initial shapes of messages. Bytes pass unchanged, so that a server can encode once for many clients. */
function encoder(schema: DescMessage): (value: unknown) => Buffer {
  return (value) => {
    if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    const bytes = toBinary(schema, create(schema, value as MessageInitShape<DescMessage>))
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }
}

function decoder(schema: DescMessage): (bytes: Buffer) => unknown {
  return (bytes) => fromBinary(schema, bytes)
}

export interface MeshChannelOptions {
  /** `https://host:port`, or `http://host:port` for plain text. */
  readonly address: string
  /** PEM file of roots, read again for every channel; `SYSTEM` for the machine's own store. */
  readonly rootCaFile?: string
  /** Name to verify in the server's certificate instead of the address's host. */
  readonly alternateHostname?: string
  /** How long a new connection may be silent until it is given up. Default 10 s. */
  readonly silenceMs?: number
  readonly options?: grpc.ChannelOptions
}

/** 200 MiB: a first answer holds the whole mesh (ambient wire §2.1). */
const maxMessageBytes = 200 << 20

/** A controller whose node is gone answers nothing at all, and grpc-js waits; the next attempt may reach another replica. */
export const connectMs = 5_000

/** A channel to the controller. Throws if the root file cannot be read: there is no unverified connection. */
export async function meshChannel(settings: MeshChannelOptions): Promise<grpc.Client> {
  return openChannel(settings, await readRoots(settings))
}

/** The text of the root file; undefined where none is needed. Throws if it cannot be read. */
export async function readRoots({ address, rootCaFile }: MeshChannelOptions): Promise<string | undefined> {
  const none = address.startsWith('http:') || rootCaFile === undefined || rootCaFile === 'SYSTEM'
  return none ? undefined : await readFile(rootCaFile, 'utf8')
}

/** As `meshChannel`, with the roots that were read; undefined for the machine's own store. */
export function openChannel(settings: MeshChannelOptions, roots: string | undefined): grpc.Client {
  const url = new URL(settings.address)
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw new Error(`${settings.address} is neither https:// nor http://`)
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  const credentials =
    url.protocol === 'http:'
      ? grpc.credentials.createInsecure()
      : grpc.credentials.createSsl(roots === undefined ? null : Buffer.from(roots))
  const limited = new LimitedCredentials(credentials, settings.silenceMs ?? 10_000)
  return new grpc.Client(`${url.hostname}:${port}`, limited, {
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': -1,
    'grpc.keepalive_time_ms': 15_000,
    'grpc.keepalive_timeout_ms': 5_000,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2_000,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_retries': 0,
    ...(settings.alternateHostname === undefined
      ? {}
      : {
          'grpc.ssl_target_name_override': settings.alternateHostname,
          'grpc.default_authority': settings.alternateHostname,
        }),
    ...settings.options,
  })
}

/** Metadata of every call (ambient wire §2.1). The token file is read again each time; a missing file means no token. */
export async function callMetadata(settings: {
  readonly tokenFile?: string
  readonly clusterId?: string
  readonly headers?: Readonly<Record<string, string>>
}): Promise<grpc.Metadata> {
  const metadata = new grpc.Metadata()
  if (settings.tokenFile !== undefined) {
    const token = (await readFile(settings.tokenFile, 'utf8')).trim()
    if (token !== '') metadata.set('authorization', `Bearer ${token}`)
  }
  if (settings.clusterId !== undefined) metadata.set('clusterid', settings.clusterId)
  for (const [name, value] of Object.entries(settings.headers ?? {})) metadata.set(name.toLowerCase(), value)
  return metadata
}

/** One unary call. Rejects with grpc.ServiceError. */
export function callUnary<I extends DescMessage, O extends DescMessage>(
  client: grpc.Client,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
  options: { readonly metadata: grpc.Metadata; readonly timeoutMs: number },
): Promise<MessageShape<O>> {
  const { path, requestSerialize, responseDeserialize } = grpcMethodOf(method)
  return new Promise((resolve, reject) => {
    const call = { deadline: Date.now() + options.timeoutMs }
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      options.metadata,
      call,
      (error, answer) => {
        if (error !== null) reject(error)
        else resolve(answer as MessageShape<O>)
      },
    )
  })
}

/** One call that streams both ways. `read` decodes what arrives, where that is not to be the whole message. */
export function callStream<I extends DescMessage, O extends DescMessage, R = MessageShape<O>>(
  client: grpc.Client,
  method: DescMethodBiDiStreaming<I, O>,
  metadata: grpc.Metadata,
  read?: (bytes: Buffer) => R,
): grpc.ClientDuplexStream<MessageInitShape<I>, R> {
  const { path, requestSerialize, responseDeserialize } = grpcMethodOf(method)
  const stream = client.makeBidiStreamRequest(path, requestSerialize, read ?? responseDeserialize, metadata)
  return stream as grpc.ClientDuplexStream<MessageInitShape<I>, R>
}
