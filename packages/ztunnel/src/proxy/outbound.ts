// Carries out the outbound decision for one captured connection of a pod.
import { lookup } from 'node:dns/promises'
import type net from 'node:net'
import { MeshError } from '@wishbone/core/errors'
import { baggageOf, formatBaggage, formatForwarded, headerNames, newTraceparent } from '@wishbone/core/hbone'
import { formatSpiffe } from '@wishbone/core/identity'
import { formatSocketAddress, type SocketAddress } from '@wishbone/core/ip'
import { identityOf, type Workload } from '@wishbone/core/mesh'
import { copySockets } from '@wishbone/runtime/copy'
import { pipeSocket, type Tunnel } from '@wishbone/runtime/hbone'
import { originalDestination } from '@wishbone/runtime/os'
import { decideOutbound, type OutboundDecision } from '../decide/index.ts'
import type { ConnectionEnds } from '../report/ends.ts'
import { canonicalText, remoteText } from './addresses.ts'
import { carry } from './carry.ts'
import { dial, dialTls } from './dial.ts'
import type { PodScope } from './scope.ts'

type Going = Exclude<OutboundDecision, { kind: 'reject' }>

/** Serves one accepted connection to its end; never rejects. */
export async function serveOutbound(pod: PodScope, socket: net.Socket): Promise<void> {
  const { context } = pod
  const from = remoteText(socket)
  const destination = originalDestination(socket)
  let to = destination === undefined ? 'unknown' : formatSocketAddress(destination.ip, destination.port)
  try {
    if (destination === undefined)
      throw new MeshError('bad-request', 'the connection has no original destination', { at: 'downstream' })
    const source = await pod.workload()
    const facts = { source, destination, network: context.settings.network }
    const decision = decideOutbound(context.state, facts, context.pick)
    if (decision.kind === 'reject')
      throw new MeshError(decision.code, decision.message, {
        at: 'upstream',
        ...(decision.hint === undefined ? {} : { hint: decision.hint }),
      })
    const going = decision.kind === 'resolve' ? await resolved(decision) : decision
    to = targetText(going)
    await carryOut(pod, socket, { source, destination, decision: going, from })
  } catch (cause) {
    socket.resetAndDestroy()
    context.reporter.refused('outbound', from, to, MeshError.from(cause))
  }
}

interface Captured {
  readonly source: Workload
  readonly destination: SocketAddress
  readonly decision: Exclude<Going, { kind: 'resolve' }>
  readonly from: string
}

async function carryOut(pod: PodScope, socket: net.Socket, captured: Captured): Promise<void> {
  const { context } = pod
  const connection = context.reporter.open(endsOf(captured))
  await carry(pod, {
    connection,
    async run(signal) {
      const { decision } = captured
      if (decision.kind === 'hbone') {
        const tunnel = await openTunnel(pod, socket, captured, decision, signal)
        return connection.follow(pipeSocket(tunnel, socket), 'sent')
      }
      const upstream = await dial(context, decision.target, { nsFd: pod.nsFd, signal })
      return connection.follow(copySockets(socket, upstream), 'sent')
    },
    refuse: () => socket.resetAndDestroy(),
  })
}

function openTunnel(
  pod: PodScope,
  socket: net.Socket,
  captured: Captured,
  { hop, identities, authority }: Extract<Going, { kind: 'hbone' }>,
  signal: AbortSignal,
): Promise<Tunnel> {
  const sourceIdentity = formatSpiffe(identityOf(captured.source))
  const key = {
    sourceIdentity,
    expectedIdentities: identities,
    sourceIp: canonicalText(socket.remoteAddress),
    destination: formatSocketAddress(hop.ip, hop.port),
  }
  return pod.pool.connect(
    key,
    authority,
    requestHeaders(pod, socket, captured),
    (dialling) => dialTls(pod.context, hop, sourceIdentity, identities, { nsFd: pod.nsFd, signal: dialling }),
    signal,
  )
}

function requestHeaders(pod: PodScope, socket: net.Socket, { source, decision }: Captured): Record<string, string> {
  const client = { ip: canonicalText(socket.remoteAddress), port: socket.remotePort ?? 0 }
  const host = decision.service?.hostname
  const headers: Record<string, string> = {
    [headerNames.forwarded]: formatForwarded({ for: client, ...(host === undefined ? {} : { host }) }),
    [headerNames.traceparent]: newTraceparent(pod.context.random),
  }
  const baggage = formatBaggage(baggageOf(source))
  if (baggage !== '') headers[headerNames.baggage] = baggage
  return headers
}

function endsOf({ source, destination, decision, from }: Captured): ConnectionEnds {
  const tunnelled = decision.kind === 'hbone'
  return {
    direction: 'outbound',
    source: { address: from, workload: source, identity: tunnelled ? formatSpiffe(identityOf(source)) : undefined },
    destination: {
      address: targetText(decision),
      hboneAddress: tunnelled ? decision.authority : undefined,
      workload: decision.workload,
      service: decision.service,
      identity: tunnelled ? decision.identities[0] : undefined,
    },
    originalDestination: formatSocketAddress(destination.ip, destination.port),
  }
}

function targetText(decision: Going): string {
  if (decision.kind === 'resolve') return `${decision.hostname}:${decision.port}`
  const { ip, port } = decision.kind === 'tcp' ? decision.target : decision.hop
  return formatSocketAddress(ip, port)
}

/** The workload that has only a hostname, at one of its addresses: of the wanted family if there is one. */
async function resolved(decision: Extract<Going, { kind: 'resolve' }>): Promise<Extract<Going, { kind: 'tcp' }>> {
  const { hostname, port, family, workload, service } = decision
  const found = await lookup(hostname, { all: true }).catch((cause: unknown) => {
    throw new MeshError('no-healthy-upstream', `cannot resolve ${hostname}`, { at: 'upstream', cause })
  })
  const wanted = found.filter((one) => one.family === family)
  const choices = wanted.length > 0 ? wanted : found
  const chosen = choices[Math.floor(Math.random() * choices.length)]
  if (chosen === undefined) throw new MeshError('no-healthy-upstream', `${hostname} has no address`, { at: 'upstream' })
  return { kind: 'tcp', why: 'plaintext', target: { ip: chosen.address, port }, workload, ...(service && { service }) }
}
