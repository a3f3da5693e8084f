import { generateKeyPairSync } from 'node:crypto'
import { SignJWT, UnsecuredJWT } from 'jose'
import { expect, test } from 'vitest'
import { installAdmission } from '../kinds/admission.ts'
import { Api } from '../objects/api.ts'
import { Tokens, tokenIssuer } from './tokens.ts'

function world() {
  const api = new Api()
  installAdmission(api)
  api.create(api.resource('/namespaces'), undefined, { metadata: { name: 'n' } })
  api.create(api.resource('/nodes'), undefined, { metadata: { name: 'node1' } })
  const account = api.create(api.resource('/serviceaccounts'), 'n', { metadata: { name: 'sa' } })
  const pod = api.create(api.resource('/pods'), 'n', {
    metadata: { name: 'p' },
    spec: { serviceAccountName: 'sa', nodeName: 'node1', containers: [{ name: 'c', image: 'i' }] },
  })
  const clock = { now: Date.parse('2026-01-01T00:00:00Z') }
  const tokens = new Tokens(api, () => clock.now)
  const boundObject = { kind: 'Pod', name: 'p', uid: pod.metadata.uid! }
  return { api, account, pod, tokens, clock, boundObject }
}

const errorOf = (result: object): string | undefined => (result as { error?: string }).error

test('a bound token carries the claims of Kubernetes and names its pod and node', async () => {
  const { account, pod, tokens, boundObject, api } = world()
  const { token, expirationTimestamp } = await tokens.issue(account, {
    audiences: ['istio-ca'],
    expirationSeconds: 3600,
    boundObject,
  })
  expect(expirationTimestamp).toBe('2026-01-01T01:00:00Z')
  const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as Record<string, unknown>
  const node = { name: 'node1', uid: api.find('/nodes', undefined, 'node1')!.metadata.uid }
  expect(claims).toMatchObject({
    iss: tokenIssuer,
    sub: 'system:serviceaccount:n:sa',
    aud: ['istio-ca'],
    'kubernetes.io': {
      namespace: 'n',
      serviceaccount: { name: 'sa', uid: account.metadata.uid },
      pod: { name: 'p', uid: pod.metadata.uid },
      node,
    },
  })
  expect(await tokens.verify(token, ['other', 'istio-ca'])).toMatchObject({
    audiences: ['istio-ca'],
    user: {
      username: 'system:serviceaccount:n:sa',
      groups: ['system:serviceaccounts', 'system:serviceaccounts:n', 'system:authenticated'],
      extra: {
        'authentication.kubernetes.io/pod-name': ['p'],
        'authentication.kubernetes.io/pod-uid': [pod.metadata.uid],
        'authentication.kubernetes.io/node-name': ['node1'],
      },
    },
  })
})

test('a token for another audience is refused, also by the API server itself', async () => {
  const { account, tokens } = world()
  const { token } = await tokens.issue(account, { audiences: ['istio-ca'] })
  expect(errorOf(await tokens.verify(token))).toMatch(/the token is for \["istio-ca"\]/)
  expect(errorOf(await tokens.verify(token, ['vault']))).toMatch(/not for \["vault"\]/)
})

test('an expired token is refused', async () => {
  const { account, tokens, clock } = world()
  const { token } = await tokens.issue(account, { expirationSeconds: 600 })
  clock.now += 599_000
  expect(errorOf(await tokens.verify(token))).toBeUndefined()
  clock.now += 2_000
  expect(errorOf(await tokens.verify(token))).toMatch(/exp/)
})

test.each<[string, (world_: ReturnType<typeof world>) => void]>([
  ['its pod is deleted', ({ api }) => void api.delete(api.resource('/pods'), 'n', 'p', { gracePeriodSeconds: 0 })],
  [
    'its pod is another of the same name',
    ({ api, pod }) => {
      api.delete(api.resource('/pods'), 'n', 'p', { gracePeriodSeconds: 0 })
      api.create(api.resource('/pods'), 'n', {
        metadata: { name: 'p' },
        spec: (pod as unknown as { spec: object }).spec,
      })
    },
  ],
  ['its account is deleted', ({ api }) => void api.delete(api.resource('/serviceaccounts'), 'n', 'sa')],
  [
    'its account is another of the same name',
    ({ api }) => {
      api.delete(api.resource('/serviceaccounts'), 'n', 'sa')
      api.create(api.resource('/serviceaccounts'), 'n', { metadata: { name: 'sa' } })
    },
  ],
])('a bound token is void when %s', async (_name, change) => {
  const all = world()
  const { token } = await all.tokens.issue(all.account, { boundObject: all.boundObject })
  expect(errorOf(await all.tokens.verify(token))).toBeUndefined()
  change(all)
  expect(errorOf(await all.tokens.verify(token))).toMatch(/deleted/)
})

test('a pod being deleted keeps its token for a minute', async () => {
  const { account, api, tokens, boundObject, clock } = world()
  const { token } = await tokens.issue(account, { boundObject })
  const deleted = api.delete(api.resource('/pods'), 'n', 'p', { gracePeriodSeconds: 30 })
  clock.now = Date.parse(deleted.metadata.deletionTimestamp!)
  const fresh = await tokens.issue(account, { boundObject })
  expect(errorOf(await tokens.verify(fresh.token))).toBeUndefined()
  clock.now += 61_000
  expect(errorOf(await tokens.verify(fresh.token))).toMatch(/being deleted/)
  expect(token).not.toBe(fresh.token)
})

test('no token for a pod of another account, a pod that is not there, or a time too short', async () => {
  const { api, account, tokens, boundObject } = world()
  const other = api.create(api.resource('/serviceaccounts'), 'n', { metadata: { name: 'other' } })
  await expect(tokens.issue(other, { boundObject })).rejects.toMatchObject({ code: 422 })
  await expect(tokens.issue(account, { boundObject: { ...boundObject, uid: 'x' } })).rejects.toMatchObject({
    code: 404,
  })
  await expect(tokens.issue(account, { expirationSeconds: 599 })).rejects.toMatchObject({ code: 422 })
})

test('forged tokens are refused: another key, another issuer, none at all', async () => {
  const { account, tokens } = world()
  const { token } = await tokens.issue(account, {})
  const [head, body, signature] = token.split('.') as [string, string, string]
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as Record<string, unknown>
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const foreign = await new SignJWT(claims).setProtectedHeader({ alg: 'RS256' }).sign(privateKey)
  const changed = Buffer.from(JSON.stringify({ ...claims, sub: 'system:serviceaccount:kube-system:admin' })).toString(
    'base64url',
  )
  for (const forged of [foreign, new UnsecuredJWT(claims).encode(), `${head}.${changed}.${signature}`, 'x', ''])
    expect(errorOf(await tokens.verify(forged))).toMatch(/not valid/)
})
