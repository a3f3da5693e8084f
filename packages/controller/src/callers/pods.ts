// The pod behind a caller, as the store knows it; asked of the API where the store may lag.
import { isStatus, type KubeClient, resourcePath } from '@wishbone/runtime/kube'
import type { Pod } from '../kinds/index.ts'
import { type Store, watchedKinds } from '../kube/index.ts'
import type { Caller } from './token-review.ts'

export interface PodLookup {
  /** The pod to which the caller's token is bound: same name, uid and service account. Rejects only if the API fails. */
  podOf(caller: Caller): Promise<Pod | undefined>
  /** Whether a pod of this account is on the node; finished ones count, failed ones do not. */
  runsOn(node: string, namespace: string, serviceAccount: string): boolean
}

export function createPodLookup(store: Pick<Store, 'get' | 'objects'>, client: KubeClient): PodLookup {
  /** Accounts per node, for as long as the store's pods are the same. */
  let index: { readonly of: unknown; readonly accounts: ReadonlySet<string> } | undefined
  return {
    async podOf(caller) {
      if (caller.pod === undefined) return undefined
      const { name, uid } = caller.pod
      let pod = store.get('pods', caller.namespace, name) as unknown as Pod | undefined
      if (pod?.metadata.uid !== uid) {
        const path = resourcePath(watchedKinds.pods, caller.namespace, name)
        pod = await client.get<Pod>(path).catch((cause: unknown) => {
          if (isStatus(cause, 404)) return undefined
          throw cause
        })
      }
      if (pod?.metadata.uid !== uid) return undefined
      return accountOf(pod) === caller.serviceAccount ? pod : undefined
    },
    runsOn(node, namespace, serviceAccount) {
      const pods = store.objects('pods')
      if (index?.of !== pods) {
        const accounts = new Set<string>()
        for (const object of pods) {
          const pod = object as unknown as Pod
          if (pod.spec.nodeName !== undefined && pod.status?.phase !== 'Failed')
            accounts.add(`${pod.spec.nodeName}/${pod.metadata.namespace}/${accountOf(pod)}`)
        }
        index = { of: pods, accounts }
      }
      return index.accounts.has(`${node}/${namespace}/${serviceAccount}`)
    },
  }
}

export function accountOf(pod: Pod): string {
  const name = pod.spec.serviceAccountName
  return name === undefined || name === '' ? 'default' : name
}
