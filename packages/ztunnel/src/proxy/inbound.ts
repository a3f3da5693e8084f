// What both inbound ways share: the verdict (with its wait for policies) and the connection to the application.
import type net from 'node:net'
import { MeshError } from '@wishbone/core/errors'
import type { SocketAddress } from '@wishbone/core/ip'
import { ports } from '@wishbone/core/names'
import { hasConnection } from '@wishbone/runtime/os'
import { decideInbound, type InboundDecision, type InboundFacts } from '../decide/index.ts'
import { dial } from './dial.ts'
import type { PodScope } from './scope.ts'
import { waitForState } from './wait.ts'

export type Accepted = Extract<InboundDecision, { kind: 'accept' }>

/** Decides, waiting a little for policies that are named but not there. Throws the refusal as a MeshError. */
export async function admit(pod: PodScope, facts: InboundFacts): Promise<Accepted> {
  const { state, settings, log } = pod.context
  let decision = decideInbound(state, facts)
  if (decision.kind === 'reject' && decision.code === 'policy-missing') {
    const settled = await waitForState(state, settings.policyWaitMs, pod.signal, () => {
      const local = state.workloadByUid(facts.local.uid)
      const again = local === undefined ? undefined : decideInbound(state, { ...facts, local })
      return again?.kind === 'reject' && again.code === 'policy-missing' ? undefined : again
    })
    decision = settled ?? decision
  }
  if (decision.dryRun !== undefined && decision.dryRun.length > 0)
    log.info('dry-run policies match', {
      policies: decision.dryRun,
      'src.addr': facts.peerIp,
      'dst.addr': facts.localIp,
    })
  if (decision.kind === 'reject') throw new MeshError(decision.code, decision.message, { at: 'downstream' })
  return decision
}

/**
 * Connects to the application with the client's address, as far as that can be had (ambient wire §1.4), and with the port that
 * the client's own connection has where it is known: no other connection of the client can have it. Any other port could be
 * that of a connection which the client has open, or opens later, and packets of the one would be taken for those of the other.
 */
export async function connectApplication(
  pod: PodScope,
  accepted: Accepted,
  facts: InboundFacts,
  signal: AbortSignal,
  clientPort?: number,
): Promise<net.Socket> {
  const { settings } = pod.context
  const { upstream } = accepted
  const keep =
    settings.sourceAddress !== 'never' && facts.peerIp !== upstream.ip && sameFamily(facts.peerIp, upstream.ip)
  const options = { nsFd: pod.nsFd, signal }
  if (!keep) return dial(pod.context, upstream, options)
  for (const sourcePort of sourcePorts(pod, upstream, facts.peerIp, clientPort)) {
    try {
      return await dial(pod.context, upstream, { ...options, sourceIp: facts.peerIp, sourcePort })
    } catch (cause) {
      const reason = cause instanceof MeshError ? (cause.cause as NodeJS.ErrnoException | undefined)?.code : undefined
      if (reason === 'EADDRINUSE' || reason === 'EADDRNOTAVAIL') continue
      // A low port may need a privilege that the address does not.
      if (reason === 'EACCES' && sourcePort < 1024) continue
      // Only a missing privilege lets the address go: an application that refuses must not be asked twice.
      if (settings.sourceAddress === 'always' || reason !== 'EPERM') throw cause
      return dial(pod.context, upstream, options)
    }
  }
  throw new MeshError(
    'connect-failed',
    `no source port is left at ${facts.peerIp} for ${upstream.ip}:${upstream.port}`,
    {
      at: 'upstream',
    },
  )
}

const ephemeral = { from: 32_768, to: 60_999 }
const tries = 64

/** The client's own port, then others from which the client has no connection, to the application or to us in its place. */
function* sourcePorts(pod: PodScope, upstream: SocketAddress, ip: string, own?: number): Generator<number> {
  if (own !== undefined) yield own
  const locals = [upstream, { ip: upstream.ip, port: ports.inboundPlaintext }]
  for (let i = 0; i < tries; i++) {
    const port = ephemeral.from + Math.floor(pod.context.random() * (ephemeral.to - ephemeral.from + 1))
    if (!locals.some((local) => hasConnection(pod.nsFd, local, { ip, port }))) yield port
  }
}

function sameFamily(a: string, b: string): boolean {
  return a.includes(':') === b.includes(':')
}
