// What a caller may see on the ADS stream. Its token decides, and the pod and account behind the token; never the node
// metadata that a proxy sends about itself.

import type { KubeObject } from '@wishbone/runtime/kube'
import type { ClientScope, ResourceSet } from '../model/index.ts'
import { accountOf, type PodLookup } from './pods.ts'
import type { Caller } from './token-review.ts'

export const gatewayNameLabel = 'gateway.networking.k8s.io/gateway-name'

export interface ScopeSources {
  readonly pods: PodLookup
  /** `<namespace>/<name>` of the accounts under which node proxies run. */
  readonly nodeProxyAccounts: ReadonlySet<string>
  readonly serviceAccount: (namespace: string, name: string) => KubeObject | undefined
  readonly scopes: () => ResourceSet['scopes']
}

export type ScopeAnswer =
  | { readonly kind: 'scope'; readonly scope: ClientScope }
  | { readonly kind: 'denied'; readonly reason: string }

/** Rejects only if the API fails. */
export async function clientScope(caller: Caller, sources: ScopeSources): Promise<ScopeAnswer> {
  const account = `${caller.namespace}/${caller.serviceAccount}`
  if (caller.pod === undefined) return denied(`the token of ${account} is not bound to a pod; use a projected token`)
  const pod = await sources.pods.podOf(caller)
  if (pod === undefined)
    return denied(`the pod ${caller.namespace}/${caller.pod.name} of the token does not exist (any more)`)
  if (sources.nodeProxyAccounts.has(account)) {
    const node = pod.spec.nodeName
    if (node === undefined || node === '') return denied(`the pod ${account} is not on a node`)
    return { kind: 'scope', scope: { kind: 'ztunnel', node } }
  }
  const label = pod.metadata.labels?.[gatewayNameLabel]
  const own = sources.serviceAccount(caller.namespace, accountOf(pod))
  if (label === undefined || own?.metadata.labels?.[gatewayNameLabel] !== label)
    return denied(
      `${account} is neither a node proxy nor the service account of a Gateway; configuration is only for these`,
    )
  for (const [key, scope] of sources.scopes()) {
    const slash = key.indexOf('/')
    const namespace = key.slice(0, slash)
    // The account is named by the translation; the label only says that the pod means to be a gateway.
    if (namespace === caller.namespace && scope.serviceAccount === caller.serviceAccount)
      return { kind: 'scope', scope: { kind: 'gateway', namespace, name: key.slice(slash + 1) } }
  }
  return denied(`no Gateway in ${caller.namespace} runs as ${caller.serviceAccount}; it may have been deleted`)
}

function denied(reason: string): ScopeAnswer {
  return { kind: 'denied', reason }
}
