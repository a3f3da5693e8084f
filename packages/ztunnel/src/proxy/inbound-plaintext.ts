// Captured plaintext to one pod (port 15006): policy without an identity, then on to the application.
import type net from 'node:net'
import { MeshError } from '@wishbone/core/errors'
import { formatSocketAddress } from '@wishbone/core/ip'
import { copySockets } from '@wishbone/runtime/copy'
import { originalDestination } from '@wishbone/runtime/os'
import type { InboundFacts } from '../decide/index.ts'
import { canonicalText, remoteText } from './addresses.ts'
import { carry } from './carry.ts'
import { type Accepted, admit, connectApplication } from './inbound.ts'
import type { PodScope } from './scope.ts'

/** Serves one accepted connection to its end; never rejects. */
export async function servePlaintext(pod: PodScope, socket: net.Socket): Promise<void> {
  const { context } = pod
  const from = remoteText(socket)
  const peerIp = canonicalText(socket.remoteAddress)
  const destination = originalDestination(socket)
  const to = destination === undefined ? 'unknown' : formatSocketAddress(destination.ip, destination.port)
  let facts: InboundFacts
  let accepted: Accepted
  try {
    if (destination === undefined)
      throw new MeshError('bad-request', 'the connection has no original destination', { at: 'downstream' })
    const local = await pod.workload()
    const target = { kind: 'address' as const, ...destination }
    facts = { local, localIp: destination.ip, target, tunnelled: false, peerIp, network: context.settings.network }
    accepted = await admit(pod, facts)
  } catch (cause) {
    socket.resetAndDestroy()
    context.reporter.refused('inbound', from, to, MeshError.from(cause))
    return
  }

  const connection = context.reporter.open({
    direction: 'inbound',
    source: { address: from, workload: context.state.workloadByAddress(context.settings.network, peerIp) },
    destination: { address: to, workload: facts.local },
    originalDestination: to,
  })
  await carry(pod, {
    connection,
    judged: { facts, port: accepted.upstream.port },
    async run(signal) {
      const clientPort = pod.tracksApart ? socket.remotePort : undefined
      const application = await connectApplication(pod, accepted, facts, signal, clientPort)
      await connection.follow(copySockets(socket, application), 'sent')
    },
    refuse: () => socket.resetAndDestroy(),
  })
}
