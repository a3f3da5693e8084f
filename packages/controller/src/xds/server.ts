// The gRPC server on 15012: configuration stream and certificate service behind one TLS certificate that renews itself.
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { ca, discovery } from '@wishbone/proto'
import { grpcServiceOf } from '@wishbone/runtime/xds'
import type { CreateCertificate, ServerCertificate } from '../ca/index.ts'
import { type Log, messageOf } from '../log.ts'
import type { AdsCall } from './client.ts'

/** TLS whose certificate can be exchanged while connections are open; those keep the one that they began with. */
export class RenewableCredentials extends ServerCredentials {
  constructor(first: ServerCertificate) {
    super({ minVersion: 'TLSv1.2' }, contextOf(first))
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

export interface GrpcServerOptions {
  readonly credentials: ServerCredentials
  /** Empty: every address of this machine, IPv6 too where there is IPv6. */
  readonly host: string
  readonly port: number
  readonly serveStream: (call: AdsCall) => void
  readonly createCertificate: CreateCertificate
  readonly log: Log
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

/** Receives up to 64 MiB: a client that reconnects names everything that it holds (ambient wire §2.1). */
const maxReceiveBytes = 64 << 20

/** Starts to listen. Rejects if the address cannot be had. */
export async function startGrpcServer(options: GrpcServerOptions): Promise<RunningGrpcServer> {
  const server = new Server({
    'grpc.max_receive_message_length': maxReceiveBytes,
    'grpc.max_send_message_length': -1,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.max_connection_age_ms': options.maxConnectionAgeMs ?? 30 * 60_000,
    'grpc.max_connection_age_grace_ms': 10_000,
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
  const bind = (host: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const address = `${host.includes(':') ? `[${host}]` : host}:${options.port}`
      server.bindAsync(address, options.credentials, (cause, bound) =>
        cause === null ? resolve(bound) : reject(cause),
      )
    })
  const port = options.host === '' ? await bind('::').catch(() => bind('0.0.0.0')) : await bind(options.host)
  return {
    port,
    async [Symbol.asyncDispose]() {
      // Streams never end by themselves; their clients find another replica.
      server.forceShutdown()
    },
  }
}
