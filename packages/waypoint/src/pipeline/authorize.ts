// Policies, enforced on the client's own identity and address: those of the workload that a request or connection was
// given to (as that workload's ztunnel would), and those that target the listener. Requests are judged by what a policy
// says of requests, other connections by what layer 4 can make of it.
import {
  type ConnectionFacts,
  decide,
  matchesPolicy,
  matchesRequestPolicy,
  type RequestFacts,
} from '@wishbone/core/authorization'
import { MeshError } from '@wishbone/core/errors'
import { type Authorization, isMissing, type MeshState, type Workload } from '@wishbone/core/mesh'
import { authorizationName } from '@wishbone/core/names'
import type { ListenerTable } from '../compile/index.ts'
import type { Target } from '../forward/target.ts'
import type { Connection } from '../server/connection.ts'
import type { ResourceStore } from '../state/store.ts'

/** How long a connection waits for a policy that is named but has not arrived. */
const missingPolicyWaitMs = 2_000

export interface Watched {
  readonly target: Target
  readonly connection: Connection
  readonly listener: ListenerTable | undefined
  readonly request: RequestFacts | undefined
  readonly onDenied: (error: MeshError) => void
}

export class Authorizer {
  readonly #state: MeshState
  readonly #store: Pick<ResourceStore, 'requestPolicy' | 'onChange' | 'table'>
  readonly #watched = new Set<Watched>()
  #judging = false
  /** How often policies, or who names them, have changed. */
  #changes = 0

  constructor(state: MeshState, store: Pick<ResourceStore, 'requestPolicy' | 'onChange' | 'table'>) {
    this.#state = state
    this.#store = store
    // Policies changed, or workloads, which name their policies. Many changes in one turn are judged once.
    const judgeAll = () => {
      this.#changes++
      if (this.#judging || this.#watched.size === 0) return
      this.#judging = true
      setImmediate(() => {
        this.#judging = false
        for (const watched of this.#watched) this.#judgeAgain(watched)
      })
    }
    state.onChange(judgeAll)
    store.onChange(judgeAll)
  }

  /**
   * For a connection or request that lives on after it was allowed: judged again whenever policies change, as its workload's ztunnel
   * would, for which we speak. Answers the way to stop; `onDenied` is called at most once.
   */
  watch(
    target: Target,
    connection: Connection,
    listener: ListenerTable | undefined,
    request: RequestFacts | undefined,
    onDenied: (error: MeshError) => void,
  ): () => void {
    const watched = { target, connection, listener, request, onDenied }
    this.#watched.add(watched)
    // Something may have changed since it was allowed.
    this.#judgeAgain(watched)
    return () => void this.#watched.delete(watched)
  }

  /** As `watch`, for what was allowed in this very turn. */
  follow(watched: Watched): () => void {
    this.#watched.add(watched)
    return () => void this.#watched.delete(watched)
  }

  /** For the picked workload. Undefined: allowed, at once. @throws MeshError denied, policy-missing */
  forTarget(target: Target, connection: Connection, request: RequestFacts | undefined): Promise<void> | undefined {
    const policies = this.#state.policiesOf(target.workload)
    if (!isMissing(policies) && policies.length === 0) return undefined
    const facts = factsOf(connection, target)
    if (!isMissing(policies)) return this.#check(policies, facts, request, target.label)
    // What is there may already deny.
    this.#check(policies.known.filter(isDeny), facts, request, target.label)
    return this.#whenArrived(target.workload, facts, request, target.label)
  }

  /** For everything that arrives at a listener. Answers what `stillForListener` is to be given. @throws MeshError denied, policy-missing */
  forListener(listener: ListenerTable, connection: Connection, request: RequestFacts | undefined): number {
    if (listener.policies.length === 0) return this.#changes
    const policies: Authorization[] = []
    for (const name of listener.policies) {
      const policy = this.#state.policyByName(name)
      if (policy === undefined)
        throw new MeshError('policy-missing', `policy ${name} of listener ${listener.name} has not arrived`)
      policies.push(policy)
    }
    const facts = {
      source: connection.peer,
      sourceIp: connection.clientIpBytes,
      destinationIp: connection.destinationIp,
      destinationPort: connection.port,
    }
    this.#check(policies, facts, request, listener.name)
    return this.#changes
  }

  /** For what has waited since it was judged: by the listener's policies of now, if any have changed. @throws MeshError as there */
  stillForListener(
    judged: number,
    listener: ListenerTable | undefined,
    connection: Connection,
    request: RequestFacts,
  ): number {
    if (judged === this.#changes || listener === undefined) return judged
    return this.forListener(this.#store.table.listeners.get(listener.name) ?? listener, connection, request)
  }

  #judgeAgain(watched: Watched): void {
    const { target, connection, listener, request, onDenied } = watched
    const workload = this.#state.workloadByUid(target.workload.uid) ?? target.workload
    try {
      this.#judgeListener(listener, connection, request)
      if (connection.destination.kind !== 'waypoint') return
      const policies = this.#state.policiesOf(workload)
      // What is on its way is waited for by new connections only; it is judged again when it comes.
      const known = isMissing(policies) ? policies.known.filter(isDeny) : policies
      this.#check(known, factsOf(connection, target), request, target.label)
    } catch (cause) {
      this.#watched.delete(watched)
      onDenied(MeshError.from(cause))
    }
  }

  /** By the policies that the listener has now. */
  #judgeListener(
    listener: ListenerTable | undefined,
    connection: Connection,
    request: RequestFacts | undefined,
  ): undefined {
    if (listener === undefined) return
    const current = this.#store.table.listeners.get(listener.name) ?? listener
    if (current.policies.every((name) => this.#state.policyByName(name) !== undefined))
      this.forListener(current, connection, request)
  }

  async #whenArrived(
    workload: Workload,
    facts: ConnectionFacts,
    request: RequestFacts | undefined,
    label: string,
  ): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    // It may come to name other policies meanwhile.
    const policiesNow = () => this.#state.policiesOf(this.#state.workloadByUid(workload.uid) ?? workload)
    const stop = this.#state.onChange(() => {
      if (!isMissing(policiesNow())) resolve()
    })
    const timer = setTimeout(resolve, missingPolicyWaitMs)
    await promise
    clearTimeout(timer)
    stop()
    const policies = policiesNow()
    if (!isMissing(policies)) return this.#check(policies, facts, request, label)
    throw new MeshError('policy-missing', `policies ${policies.names.join(', ')} of ${label} have not arrived`, {
      hint: 'does the controller still run?',
    })
  }

  #check(
    policies: readonly Authorization[],
    facts: ConnectionFacts,
    request: RequestFacts | undefined,
    label: string,
  ): undefined {
    const verdict = decide(policies, (policy) => {
      const ofRequests = request && this.#store.requestPolicy(authorizationName(policy.namespace, policy.name))
      // The two come one after the other: rules that were written to deny must not allow.
      const isCurrent = ofRequests?.action === policy.action
      return ofRequests && isCurrent ? matchesRequestPolicy(ofRequests, facts, request) : matchesPolicy(policy, facts)
    })
    if (verdict.allowed) return undefined
    const by = verdict.policy === undefined ? 'no policy allows it' : `policy ${verdict.policy}`
    throw new MeshError('denied', `access to ${label} is denied: ${by}`, { at: 'downstream' })
  }
}

function isDeny(policy: Authorization): boolean {
  return !policy.dryRun && policy.action !== 0
}

function factsOf(connection: Connection, target: Target): ConnectionFacts {
  return {
    source: connection.peer,
    sourceIp: connection.clientIpBytes,
    destinationIp: target.destinationIp,
    destinationPort: target.destinationPort,
  }
}
