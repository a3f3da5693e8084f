// The HBONE server of one pod (port 15008): CONNECT streams to the application (ambient wire §1.3).
import type net from 'node:net'
import { errorTable, MeshError } from '@wishbone/core/errors'
import {
  baggageOf,
  formatBaggage,
  headerNames,
  http2Parameters,
  parseAuthority,
  parseForwarded,
} from '@wishbone/core/hbone'
import { formatSpiffe } from '@wishbone/core/identity'
import { formatSocketAddress } from '@wishbone/core/ip'
import type { Service, Workload } from '@wishbone/core/mesh'
import { acceptHbone, type ConnectRequest, pipeSocket } from '@wishbone/runtime/hbone'
import { acceptTls } from '@wishbone/runtime/tls'
import type { InboundFacts } from '../decide/index.ts'
import { canonicalText, remoteText } from './addresses.ts'
import { carry } from './carry.ts'
import { type Accepted, admit, connectApplication } from './inbound.ts'
import type { PodScope } from './scope.ts'

/** Serves one TCP connection on 15008; never rejects. */
export async function serveHbone(pod: PodScope, socket: net.Socket): Promise<void> {
  const { context } = pod
  const from = remoteText(socket)
  const to = formatSocketAddress(canonicalText(socket.localAddress), socket.localPort ?? 0)
  try {
    const secure = await pod.handshakes.run(async (signal) => {
      const certificate = await context.certificates.get(pod.identity)
      signal.throwIfAborted()
      return acceptTls(socket, { certificate, trustDomain: context.settings.trustDomain, signal })
    })
    const session = acceptHbone(secure, {
      settings: { maxStreams: http2Parameters.serverMaxStreams },
      onConnect: (request) => {
        serveRequest(pod, request).catch((cause: unknown) => {
          context.log.error('a fault while serving a tunnel', { error: MeshError.from(cause).describe() })
          request.reject(errorTable.internal.hboneStatus)
        })
      },
      onClose: (error) => {
        if (error !== undefined)
          context.log.debug('HBONE connection ended', { 'src.addr': from, error: error.describe() })
      },
      log: context.log,
    })
    pod.addSession(session)
    // The drain began while the handshake ran.
    if (pod.draining) void session.drain()
  } catch (cause) {
    socket.destroy()
    context.reporter.refused('inbound', from, to, MeshError.from(cause, 'tls-failure', { at: 'downstream' }))
  }
}

async function serveRequest(pod: PodScope, request: ConnectRequest): Promise<void> {
  const { context } = pod
  const peerIp = canonicalText(request.remoteAddress)
  const localIp = canonicalText(request.localAddress)
  const from = formatSocketAddress(peerIp, request.remotePort)
  let facts: InboundFacts
  let accepted: Accepted
  try {
    const target = parseAuthority(request.authority)
    if (target === undefined)
      throw new MeshError('bad-authority', `"${request.authority}" is not an address or a hostname with a port`, {
        at: 'downstream',
      })
    const local = await pod.workload()
    facts = { local, localIp, target, tunnelled: true, peer: request.peer, peerIp, network: context.settings.network }
    accepted = await admit(pod, facts)
  } catch (cause) {
    const error = MeshError.from(cause)
    request.reject(errorTable[error.code].hboneStatus)
    context.reporter.refused('inbound', from, request.authority, error)
    return
  }

  const service = serviceOf(pod, facts, request, accepted.upstream.port)
  const connection = context.reporter.open({
    direction: 'inbound',
    source: {
      address: from,
      workload: sourceOf(pod, request, peerIp),
      identity: request.peer === undefined ? undefined : formatSpiffe(request.peer),
    },
    destination: {
      address: formatSocketAddress(localIp, request.localPort),
      hboneAddress: request.authority,
      workload: facts.local,
      service,
      identity: pod.identity,
    },
    originalDestination: request.authority,
  })
  await carry(pod, {
    connection,
    judged: { facts, port: accepted.upstream.port },
    async run(ended) {
      const signal = AbortSignal.any([ended, request.signal])
      const application = await connectApplication(pod, accepted, facts, signal, clientPortOf(request, peerIp))
      try {
        const tunnel = request.accept(context.settings.responseBaggage ? baggageHeader(facts.local) : {})
        await connection.follow(pipeSocket(tunnel, application), 'received')
      } catch (cause) {
        application.destroy()
        throw cause
      }
    },
    refuse: (error) => request.reject(errorTable[error.code].hboneStatus),
  })
}

function baggageHeader(local: Workload): Record<string, string> {
  const baggage = formatBaggage(baggageOf(local))
  return baggage === '' ? {} : { [headerNames.baggage]: baggage }
}

/** The caller's workload, for telemetry: by address, and only if it can have the identity that was proved. */
function sourceOf(pod: PodScope, request: ConnectRequest, peerIp: string): Workload | undefined {
  const found = pod.context.state.workloadByAddress(pod.context.settings.network, peerIp)
  if (found === undefined || request.peer === undefined) return found
  const same =
    found.namespace === request.peer.namespace && (found.serviceAccount || 'default') === request.peer.serviceAccount
  return same ? found : undefined
}

/** The port of the client's own connection, where the client's proxy says it; a waypoint's word is about somebody else's. */
function clientPortOf(request: ConnectRequest, peerIp: string): number | undefined {
  const client = parseForwarded(request.headers[headerNames.forwarded] ?? '').for
  return client !== undefined && client.ip === peerIp && client.port >= 1024 ? client.port : undefined
}

/** The service that was meant, for telemetry: the one that the client names if we belong to it, else one that has the port. */
function serviceOf(pod: PodScope, facts: InboundFacts, request: ConnectRequest, port: number): Service | undefined {
  const { state } = pod.context
  const host = parseForwarded(request.headers[headerNames.forwarded] ?? '').host
  const candidates: Service[] = []
  for (const name of Object.keys(facts.local.services)) {
    const service = state.serviceByName(name)
    if (service === undefined) continue
    if (service.hostname === host) return service
    const ports = facts.local.services[name]?.ports ?? []
    if (ports.some((one) => one.targetPort === port)) candidates.push(service)
  }
  return candidates[0]
}
