// The tokens that pods find in their volumes.
import { resourcePath } from '@wishbone/runtime/kube'
import { type ApiClient, resources } from '../client/api.ts'
import type { TokenSource } from './volumes.ts'

/** Tokens bound to pods, asked for again when four fifths of their life are over. */
export function createTokens(client: ApiClient): TokenSource {
  const cache = new Map<string, { token: string; until: number }>()
  return {
    async token(pod, audience, expirationSeconds) {
      const key = `${pod.metadata.uid} ${audience ?? ''}`
      const known = cache.get(key)
      if (known && known.until > Date.now()) return known.token
      const account = pod.spec.serviceAccountName ?? 'default'
      const path = `${resourcePath(resources.serviceAccounts, pod.metadata.namespace, account)}/token`
      const answer = await client.kube.request<{ status: { token: string } }>('POST', path, {
        body: {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenRequest',
          spec: {
            ...(audience ? { audiences: [audience] } : {}),
            expirationSeconds,
            boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: pod.metadata.uid },
          },
        },
      })
      cache.set(key, { token: answer.status.token, until: Date.now() + expirationSeconds * 800 })
      return answer.status.token
    },
  }
}
