// Authorization policies by name and by what they apply to: everything, a namespace, or the workloads that name them.
import { security } from '@wishbone/proto'
import { validateAuthorization } from '../authorization/validate.ts'
import type { Authorization, MissingPolicies, Workload } from './types.ts'

export class PolicyIndex {
  readonly #byName = new Map<string, Authorization>()
  readonly #global = new Map<string, Authorization>()
  readonly #byNamespace = new Map<string, Map<string, Authorization>>()
  /** Answers for workloads that name no policy, by namespace; emptied by every change. */
  readonly #answers = new Map<string, readonly Authorization[]>()

  get size(): number {
    return this.#byName.size
  }

  values(): IterableIterator<readonly [string, Authorization]> {
    return this.#byName.entries()
  }

  get(name: string): Authorization | undefined {
    return this.#byName.get(name)
  }

  /** All policies that apply to a workload; each once, those for everything first, then its namespace's, then its own. */
  of(workload: Workload): readonly Authorization[] | MissingPolicies {
    const shared = this.#shared(workload.namespace)
    const names = workload.authorizationPolicies
    if (names.length === 0) return shared
    const policies = [...shared]
    const missing: string[] = []
    for (const name of names) {
      const policy = this.#byName.get(name)
      if (policy === undefined) missing.push(name)
      else if (!policies.includes(policy)) policies.push(policy)
    }
    return missing.length === 0 ? policies : { kind: 'missing', names: missing, known: policies }
  }

  #shared(namespace: string): readonly Authorization[] {
    let answer = this.#answers.get(namespace)
    if (answer === undefined) {
      answer = [...sorted(this.#global), ...sorted(this.#byNamespace.get(namespace))]
      this.#answers.set(namespace, answer)
    }
    return answer
  }

  /**
   * Takes a policy in; answers what is wrong with it, if anything. Of a policy that cannot be read the version before
   * stays in force; without one, a stand-in that denies everything takes its place, for a policy that is ignored
   * would leave open what it was to close.
   */
  set(name: string, policy: Authorization): string | undefined {
    const problem = validateAuthorization(policy)
    if (problem !== undefined) {
      if (this.#byName.has(name)) return problem
      this.#insert(name, denyAll(policy))
      return problem
    }
    this.delete(name)
    this.#insert(name, policy)
    return undefined
  }

  #insert(name: string, policy: Authorization): void {
    this.#byName.set(name, policy)
    this.#answers.clear()
    if (policy.scope === security.Scope.GLOBAL) this.#global.set(name, policy)
    else if (policy.scope === security.Scope.NAMESPACE) {
      const inNamespace = this.#byNamespace.get(policy.namespace)
      if (inNamespace === undefined) this.#byNamespace.set(policy.namespace, new Map([[name, policy]]))
      else inNamespace.set(name, policy)
    }
  }

  delete(name: string): Authorization | undefined {
    const old = this.#byName.get(name)
    if (old === undefined) return undefined
    this.#byName.delete(name)
    this.#answers.clear()
    this.#global.delete(name)
    const inNamespace = this.#byNamespace.get(old.namespace)
    if (inNamespace?.delete(name) && inNamespace.size === 0) this.#byNamespace.delete(old.namespace)
    return old
  }
}

function sorted(policies: ReadonlyMap<string, Authorization> | undefined): readonly Authorization[] {
  if (policies === undefined) return []
  return [...policies].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, policy]) => policy)
}

function denyAll(policy: Authorization): Authorization {
  return {
    ...policy,
    action: security.Action.DENY,
    dryRun: false,
    // A scope that we do not know reaches at least the policy's own namespace.
    scope: policy.scope > security.Scope.WORKLOAD_SELECTOR ? security.Scope.NAMESPACE : policy.scope,
    rules: [{ $typeName: 'istio.security.Rule', clauses: [] }],
  }
}
