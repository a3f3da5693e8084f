// What both inbound ways share: the verdict (with its wait for policies) and the connection to the application.
import type net from 'node:net'
import { MeshError } from '@wishbone/core/errors'
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
 * the client's own connection has where it is known: a port at random could be that of a connection which the client opened
 * before the pod was captured, and whose packets would then be taken for those of this one.
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
  if (clientPort !== undefined) {
    try {
      return await dial(pod.context, upstream, { ...options, sourceIp: facts.peerIp, sourcePort: clientPort })
    } catch (cause) {
      const taken = cause instanceof MeshError ? (cause.cause as NodeJS.ErrnoException | undefined)?.code : undefined
      if (taken !== 'EADDRINUSE' && taken !== 'EADDRNOTAVAIL' && taken !== 'EPERM' && taken !== 'EACCES') throw cause
    }
  }
  try {
    return await dial(pod.context, upstream, { ...options, sourceIp: facts.peerIp })
  } catch (cause) {
    const reason = cause instanceof MeshError ? (cause.cause as NodeJS.ErrnoException | undefined)?.code : undefined
    // Only a missing privilege lets the address go: an application that refuses must not be asked twice.
    if (settings.sourceAddress === 'always' || reason !== 'EPERM') throw cause
    return dial(pod.context, upstream, options)
  }
}

function sameFamily(a: string, b: string): boolean {
  return a.includes(':') === b.includes(':')
}
