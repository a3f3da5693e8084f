// The gRPC server on 15012: configuration stream and certificate service behind one TLS certificate that renews itself.
// Nothing that a caller sends is read before its token is known to be good.
import type { Duplex } from 'node:stream'
import {
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { ca, discovery } from '@wishbone/proto'
import { grpcServiceOf } from '@wishbone/runtime/xds'
import type { CreateCertificate, Refusal, ServerCertificate } from '../ca/index.ts'
import type { Review, TokenReviewer } from '../callers/index.ts'
import { type Log, messageOf } from '../log.ts'
import type { AdsCall } from './client.ts'
import { listen } from './listen.ts'

/** TLS whose certificate can be exchanged while connections are open; those keep the one that they began with. */
export class RenewableCredentials extends ServerCredentials {
  constructor(first: ServerCertificate) {
    super({ minVersion: 'TLSv1.2', handshakeTimeout: 10_000 }, contextOf(first))
  }

  renew(next: ServerCertificate): void {
    this.updateSecureContextOptions(contextOf(next))
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other
  }
}

function contextOf({ chainPem, keyPem }: ServerCertificate): { cert: string; key: string } {
  return { cert: chainPem, key: keyPem }
}

type Refuse = (review: Exclude<Review, { kind: 'caller' }>, peer: string) => Refusal

export interface GrpcServerOptions {
  readonly credentials: ServerCredentials
  /** Empty: every address of this machine, IPv6 too where there is IPv6. */
  readonly host: string
  readonly port: number
  /** Who a token belongs to; asked before anything of a call is read. */
  readonly review: TokenReviewer['review']
  readonly serveStream: (call: AdsCall) => void
  /** Answers a stream whose token is not good. */
  readonly refuseStream: Refuse
  readonly createCertificate: CreateCertificate
  /** Answers a request for a certificate whose token is not good. */
  readonly refuseCertificate: Refuse
  readonly log: Log
  /** Default 64. */
  readonly connectionsPerPeer?: number
  /** Connections are asked to come anew after about this time, so that replicas share the load; milliseconds. */
  readonly maxConnectionAgeMs?: number
}

export interface RunningGrpcServer extends AsyncDisposable {
  readonly port: number
}

/** The service, whose requests leave a line in the log if they cannot be read; grpc-js answers INTERNAL then. */
function readable(service: ServiceDefinition, log: Log): ServiceDefinition {
  const methods = Object.entries(service).map(([name, method]) => {
    const requestDeserialize = (bytes: Buffer): unknown => {
      try {
        return method.requestDeserialize(bytes)
      } catch (cause) {
        log.warn('a request cannot be read', { method: method.path, bytes: bytes.length, error: messageOf(cause) })
        throw cause
      }
    }
    return [name, { ...method, requestDeserialize }]
  })
  return Object.fromEntries(methods) as ServiceDefinition
}

/**
 * A client that reconnects names everything that it holds, each with its version (ambient wire §2.1): at some 130 bytes,
 * this is enough for 120 000 resources.
 */
const maxReceiveBytes = 16 << 20
/** Of one connection: a node's proxy asks for some certificates at a time. */
const maxStreams = 100

/** Starts to listen. Rejects if the address cannot be had. */
export async function startGrpcServer(options: GrpcServerOptions): Promise<RunningGrpcServer> {
  const server = new Server({
    'grpc.max_receive_message_length': maxReceiveBytes,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': maxStreams,
    interceptors: [tokensFirst(options)],
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.max_connection_age_ms': options.maxConnectionAgeMs ?? 30 * 60_000,
    'grpc.max_connection_age_grace_ms': 10_000,
    'grpc.max_connection_idle_ms': 10 * 60_000,
  })
  const streams: UntypedServiceImplementation = {
    deltaAggregatedResources: (call: AdsCall) => options.serveStream(call),
  }
  server.addService(readable(grpcServiceOf(discovery.AggregatedDiscoveryService), options.log), streams)
  const certificates: UntypedServiceImplementation = {
    createCertificate: (
      call: ServerUnaryCall<ca.IstioCertificateRequest, unknown>,
      callback: sendUnaryData<unknown>,
    ) => {
      const authorization = call.metadata.get('authorization')[0]?.toString()
      options.createCertificate(call.request, authorization, call.getPeer()).then(
        (answer) => callback(null, answer),
        (refusal) => callback(refusal),
      )
    },
  }
  server.addService(readable(grpcServiceOf(ca.IstioCertificateService), options.log), certificates)
  const injector = server.createConnectionInjector(options.credentials)
  const { host, port, log } = options
  const onConnection = (socket: Duplex): void => injector.injectConnection(socket)
  const listening = await listen({
    host,
    port,
    perPeer: options.connectionsPerPeer ?? 64,
    total: 8_192,
    log,
    onConnection,
  })
  return {
    port: listening.port,
    async [Symbol.asyncDispose]() {
      // Streams never end by themselves; their clients find another replica.
      server.forceShutdown()
      listening[Symbol.dispose]()
    },
  }
}

/** Holds every call back until its token has been reviewed; the handlers find the answer in the reviewer's memory. */
function tokensFirst({ review, refuseStream, refuseCertificate }: GrpcServerOptions): ServerInterceptor {
  return ({ path }, call) =>
    new ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveMetadata(metadata, go) {
            const refuse = path === streamPath ? refuseStream : refuseCertificate
            review(metadata.get('authorization')[0]?.toString())
              .then((answer) => {
                if (answer.kind === 'caller') return go(metadata)
                const { code, details } = refuse(answer, call.getPeer())
                call.sendStatus({ code, details })
              })
              .catch(() => call.sendStatus({ code: status.INTERNAL, details: 'internal error' }))
          },
        })
      },
    })
}

const streamPath = `/${discovery.AggregatedDiscoveryService.typeName}/${discovery.AggregatedDiscoveryService.method.deltaAggregatedResources.name}`
