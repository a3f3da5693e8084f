// Service-account tokens with Kubernetes' claims: issued for a ServiceAccount, bound to a Pod, and checked against what still exists.
import { createHash, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto'
import { exportJWK, type JWK, jwtVerify, SignJWT } from 'jose'
import type { Api } from '../objects/api.ts'
import { invalid, notFound } from '../objects/errors.ts'
import type { KubeObject } from '../objects/object.ts'

export const tokenIssuer = 'https://kubernetes.default.svc.cluster.local'
const minimumSeconds = 600
const maximumSeconds = 2 ** 32
/** A bound pod's tokens stay valid for a while after its deletion time, so that it can say goodbye. */
const deletionLeewayMs = 60_000

export interface TokenUser {
  readonly username: string
  readonly uid: string
  readonly groups: readonly string[]
  readonly extra: Readonly<Record<string, readonly string[]>>
}

export interface TokenBinding {
  readonly kind: string
  readonly name: string
  readonly uid?: string
}

export interface IssuedToken {
  readonly token: string
  readonly expirationTimestamp: string
}

interface BoundObject {
  readonly name: string
  readonly uid: string
}

interface KubernetesClaims {
  readonly namespace: string
  readonly serviceaccount: BoundObject
  readonly pod?: BoundObject
  readonly node?: BoundObject
}

export class Tokens {
  readonly #api: Api
  readonly #now: () => number
  readonly #privateKey: KeyObject
  readonly #publicKey: KeyObject
  readonly #keyId: string

  constructor(api: Api, now: () => number = Date.now) {
    this.#api = api
    this.#now = now
    const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
    this.#privateKey = pair.privateKey
    this.#publicKey = pair.publicKey
    this.#keyId = createHash('sha256')
      .update(pair.publicKey.export({ type: 'spki', format: 'der' }))
      .digest('base64url')
  }

  /** The public keys, as /openid/v1/jwks shows them. */
  async keySet(): Promise<{ readonly keys: readonly JWK[] }> {
    return { keys: [{ ...(await exportJWK(this.#publicKey)), use: 'sig', kid: this.#keyId, alg: 'RS256' }] }
  }

  /** TokenRequest. Throws 404 when the account or the bound object does not exist, 422 for a time out of range. */
  async issue(
    account: KubeObject,
    options: {
      readonly audiences?: readonly string[]
      readonly expirationSeconds?: number
      readonly boundObject?: TokenBinding
    },
  ): Promise<IssuedToken> {
    const { namespace = '', name, uid = '' } = account.metadata
    const seconds = options.expirationSeconds ?? 3600
    if (seconds < minimumSeconds || seconds > maximumSeconds) {
      throw invalid('authentication.k8s.io', 'TokenRequest', name, [
        {
          reason: 'FieldValueInvalid',
          message: `Invalid value: ${seconds}: may not specify a duration less than 10 minutes or larger than 2^32 seconds`,
          field: 'spec.expirationSeconds',
        },
      ])
    }
    const claims: KubernetesClaims = {
      namespace,
      serviceaccount: { name, uid },
      ...this.#binding(namespace, account, options.boundObject),
    }
    const issuedAt = Math.floor(this.#now() / 1000)
    const token = await new SignJWT({ 'kubernetes.io': claims })
      .setProtectedHeader({ alg: 'RS256', kid: this.#keyId })
      .setIssuer(tokenIssuer)
      .setSubject(`system:serviceaccount:${namespace}:${name}`)
      .setAudience([...(options.audiences?.length ? options.audiences : [tokenIssuer])])
      .setIssuedAt(issuedAt)
      .setNotBefore(issuedAt)
      .setExpirationTime(issuedAt + seconds)
      .setJti(randomUUID())
      .sign(this.#privateKey)
    return { token, expirationTimestamp: new Date((issuedAt + seconds) * 1000).toISOString().replace('.000Z', 'Z') }
  }

  /**
   * The user of a token and which of `audiences` (default: the API server's own) it is for.
   * Resolves with a reason where the token is not valid.
   */
  async verify(
    token: string,
    audiences: readonly string[] = [tokenIssuer],
  ): Promise<{ readonly user: TokenUser; readonly audiences: readonly string[] } | { readonly error: string }> {
    let payload: Record<string, unknown>
    try {
      const checked = await jwtVerify(token, this.#publicKey, {
        algorithms: ['RS256'],
        issuer: tokenIssuer,
        currentDate: new Date(this.#now()),
        requiredClaims: ['sub', 'aud', 'exp', 'kubernetes.io'],
      })
      payload = checked.payload
    } catch (cause) {
      return { error: `the token is not valid: ${cause instanceof Error ? cause.message : String(cause)}` }
    }
    const own = Array.isArray(payload.aud) ? payload.aud.map(String) : [String(payload.aud)]
    const shared = audiences.filter((audience) => own.includes(audience))
    if (shared.length === 0)
      return { error: `the token is for ${JSON.stringify(own)}, not for ${JSON.stringify(audiences)}` }
    const claims = payload['kubernetes.io'] as KubernetesClaims
    const stale = this.#stale(claims)
    if (stale !== undefined) return { error: stale }
    return { user: userOf(claims, String(payload.jti ?? '')), audiences: shared }
  }

  #binding(namespace: string, account: KubeObject, bound: TokenBinding | undefined): Partial<KubernetesClaims> {
    if (bound === undefined) return {}
    const key =
      bound.kind === 'Pod'
        ? '/pods'
        : bound.kind === 'Secret'
          ? '/secrets'
          : bound.kind === 'Node'
            ? '/nodes'
            : undefined
    const object =
      key === undefined ? undefined : this.#api.find(key, key === '/nodes' ? undefined : namespace, bound.name)
    if (object === undefined || (bound.uid !== undefined && object.metadata.uid !== bound.uid))
      throw notFound({ group: '', plural: `${bound.kind.toLowerCase()}s` }, bound.name)
    const reference = { name: bound.name, uid: object.metadata.uid ?? '' }
    if (bound.kind === 'Node') return { node: reference }
    if (bound.kind !== 'Pod') return {}
    const spec = (object as unknown as { spec: { nodeName?: string; serviceAccountName?: string } }).spec
    if ((spec.serviceAccountName ?? 'default') !== account.metadata.name) {
      throw invalid('authentication.k8s.io', 'TokenRequest', account.metadata.name, [
        {
          reason: 'FieldValueInvalid',
          message: `Invalid value: the pod ${bound.name} runs as ${spec.serviceAccountName ?? 'default'}`,
          field: 'spec.boundObjectRef',
        },
      ])
    }
    const node = spec.nodeName === undefined ? undefined : this.#api.find('/nodes', undefined, spec.nodeName)
    return {
      pod: reference,
      ...(node === undefined ? {} : { node: { name: node.metadata.name, uid: node.metadata.uid ?? '' } }),
    }
  }

  /** Why the objects that a token names make it void; undefined when they don't. */
  #stale(claims: KubernetesClaims): string | undefined {
    const { namespace, serviceaccount, pod, node } = claims
    const account = this.#api.find('/serviceaccounts', namespace, serviceaccount.name)
    if (account === undefined || account.metadata.uid !== serviceaccount.uid)
      return `service account ${namespace}/${serviceaccount.name} has been deleted`
    if (
      node !== undefined &&
      pod === undefined &&
      this.#api.find('/nodes', undefined, node.name)?.metadata.uid !== node.uid
    )
      return `node ${node.name} has been deleted`
    if (pod === undefined) return undefined
    const found = this.#api.find('/pods', namespace, pod.name)
    if (found === undefined || found.metadata.uid !== pod.uid) return `pod ${namespace}/${pod.name} has been deleted`
    const deletion = found.metadata.deletionTimestamp
    if (deletion !== undefined && Date.parse(deletion) + deletionLeewayMs < this.#now())
      return `pod ${namespace}/${pod.name} is being deleted`
    return undefined
  }
}

function userOf(claims: KubernetesClaims, id: string): TokenUser {
  const { namespace, serviceaccount, pod, node } = claims
  return {
    username: `system:serviceaccount:${namespace}:${serviceaccount.name}`,
    uid: serviceaccount.uid,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
    extra: {
      ...(id === '' ? {} : { 'authentication.kubernetes.io/credential-id': [`JTI=${id}`] }),
      ...(pod === undefined
        ? {}
        : { 'authentication.kubernetes.io/pod-name': [pod.name], 'authentication.kubernetes.io/pod-uid': [pod.uid] }),
      ...(node === undefined
        ? {}
        : {
            'authentication.kubernetes.io/node-name': [node.name],
            'authentication.kubernetes.io/node-uid': [node.uid],
          }),
    },
  }
}
