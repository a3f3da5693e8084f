import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { create } from '@bufbuild/protobuf'
import { status as grpcStatus } from '@grpc/grpc-js'
import { ca } from '@wishbone/proto'
import { createCsr, issueIntermediate, parseSubjectAltName, selfSignedRoot } from '@wishbone/runtime/certificates'
import { fixedConnection, KubeClient } from '@wishbone/runtime/kube'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeApiServer } from '../../test/fake-api-server.ts'
import { type Recorder, recorder } from '../../test/wait.ts'
import { createPodLookup, TokenReviewer } from '../callers/index.ts'
import type { Secret } from '../kinds/index.ts'
import { Store } from '../kube/index.ts'
import { type Authority, parseAuthority } from './authority.ts'
import { type CreateCertificate, createCertificateHandler } from './service.ts'

const pods = '/api/v1/pods'
const system = 'wishbone-system'
let api: FakeApiServer
let client: KubeClient
let store: Store
let log: Recorder
let clock: number
let handler: CreateCertificate

const secretOf = (data: Record<string, string>): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'cacerts' },
  data: Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')])),
})
const pemOf = (key: ReturnType<typeof selfSignedRoot>['key']) => key.export({ type: 'pkcs8', format: 'pem' }) as string
const root = selfSignedRoot({ organization: 'cluster.local', ttlSeconds: 86_400 * 365 })
const intermediate = issueIntermediate({ organization: 'cluster.local', ttlSeconds: 86_400 * 200, signer: root })
const authority: Authority = parseAuthority(
  secretOf({
    'ca-cert.pem': intermediate.certPem,
    'ca-key.pem': pemOf(intermediate.key),
    'root-cert.pem': root.certPem,
    'cert-chain.pem': intermediate.certPem + root.certPem,
  }),
  'test',
)

function pod(namespace: string, name: string, serviceAccountName: string, nodeName: string, phase = 'Running'): void {
  const metadata = { name, namespace, uid: `uid-${name}` }
  api.put(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec: { serviceAccountName, nodeName }, status: { phase } })
}

function token(
  name: string,
  account: string,
  bound?: { pod: string; uid?: string; node?: string },
  audiences = ['istio-ca'],
): string {
  const extra: Record<string, string[]> = {}
  if (bound !== undefined) {
    extra['authentication.kubernetes.io/pod-name'] = [bound.pod]
    extra['authentication.kubernetes.io/pod-uid'] = [bound.uid ?? `uid-${bound.pod}`]
    if (bound.node !== undefined) extra['authentication.kubernetes.io/node-name'] = [bound.node]
  }
  api.tokens.set(name, {
    authenticated: true,
    audiences,
    user: { username: `system:serviceaccount:${account}`, extra },
  })
  return `Bearer ${name}`
}

beforeEach(async () => {
  api = new FakeApiServer().install(pods)
  client = new KubeClient(fixedConnection(await api.listen()))
  log = recorder()
  clock = 1_000_000
  pod(system, 'zt-1', 'ztunnel', 'n1')
  pod('shop', 'cart-1', 'cart', 'n1')
  pod('shop', 'pay-1', 'pay', 'n2')
  pod('shop', 'failed-1', 'failed', 'n1', 'Failed')
  pod('shop', 'done-1', 'done', 'n1', 'Succeeded')
  store = new Store({ log, names: ['pods'], onChange: () => {} })
  store.start(client)
  await store.synced
  handler = createCertificateHandler({
    authority: () => authority,
    reviewer: new TokenReviewer(client, () => clock),
    pods: createPodLookup(store, client),
    nodeProxyAccounts: new Set([`${system}/ztunnel`]),
    trustDomain: 'cluster.local',
    log,
    patienceMs: 100,
  })
})

afterEach(async () => {
  await store[Symbol.asyncDispose]()
  client.close()
  await api[Symbol.asyncDispose]()
})

interface Ask {
  readonly impersonate?: string
  readonly ttl?: number
  readonly csr?: string
}

async function ask(
  authorization: string | undefined,
  { impersonate, ttl = 0, csr }: Ask = {},
): Promise<readonly string[]> {
  const request = create(ca.IstioCertificateRequestSchema, {
    csr: csr ?? (await createCsr('spiffe://cluster.local/ns/evil/sa/evil')).csrPem,
    validityDuration: BigInt(ttl),
    ...(impersonate === undefined ? {} : { metadata: { ImpersonatedIdentity: impersonate } }),
  })
  return (await handler(request, authorization, 'test')).certChain
}

const cart = 'spiffe://cluster.local/ns/shop/sa/cart'
const zt = () => token('zt', `${system}:ztunnel`, { pod: 'zt-1', node: 'n1' })

describe('a certificate', () => {
  test('carries the impersonated identity and nothing that the CSR says; leaf, intermediate, root', async () => {
    const chain = await ask(zt(), { impersonate: cart })
    expect(chain).toHaveLength(3)
    const [leaf, middle, top] = chain.map((pem) => new X509Certificate(pem)) as [
      X509Certificate,
      X509Certificate,
      X509Certificate,
    ]
    expect(parseSubjectAltName(leaf.subjectAltName).uris).toEqual([cart])
    expect(leaf.verify(middle.publicKey) && middle.verify(top.publicKey)).toBe(true)
    expect(top.fingerprint256).toBe(new X509Certificate(root.certPem).fingerprint256)
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])
  })

  test('lives a day from two minutes ago by default, else as long as asked', async () => {
    const life = async (ttl: number) => {
      const leaf = new X509Certificate((await ask(zt(), { impersonate: cart, ttl }))[0]!)
      return [new Date(leaf.validFrom).getTime() - Date.now(), new Date(leaf.validTo).getTime() - Date.now()].map(
        (ms) => Math.round(ms / 10_000) * 10,
      )
    }
    expect(await life(0)).toEqual([-120, 86_400])
    expect(await life(60)).toEqual([-120, 60])
  })

  test('is for the caller’s own identity when it impersonates nobody', async () => {
    const [leaf] = await ask(token('own', 'shop:cart', { pod: 'cart-1' }))
    expect(parseSubjectAltName(new X509Certificate(leaf!).subjectAltName).uris).toEqual([cart])
  })

  test('is made for RSA keys too', async () => {
    const [leaf] = await ask(zt(), { impersonate: cart, csr: rsaCsr })
    expect(new X509Certificate(leaf!).publicKey.asymmetricKeyDetails?.modulusLength).toBe(2048)
  })

  test('of a finished pod’s account is issued, of a failed one’s is not', async () => {
    await ask(zt(), { impersonate: 'spiffe://cluster.local/ns/shop/sa/done' })
    await expect(ask(zt(), { impersonate: 'spiffe://cluster.local/ns/shop/sa/failed' })).rejects.toMatchObject({
      code: grpcStatus.UNAUTHENTICATED,
    })
  })

  test('leaves one audit line without key or token', async () => {
    await ask(zt(), { impersonate: cart })
    const lines = log.lines.filter((line) => line.includes('issued a certificate'))
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain(cart)
    expect(lines[0]).toContain('zt-1')
    expect(lines[0]).not.toMatch(/BEGIN|Bearer/)
  })
})

const rsaCsr = `-----BEGIN CERTIFICATE REQUEST-----
MIICRTCCAS0CAQAwADCCASIwDQYJKoZIhvcNAQEBBQADggEPADCCAQoCggEBANC/
Bo68JtiN3kSb/ieVycIqD7TsLolt1kyUVVhNVGqdXQb5M+FWGREjB6OwPgxuuxb8
VJnn0mb7Psy+jrk/ES+il3DqTuUpYcNROowHGt8nQMTMjSoFvpUt1/SPyXMo5X/G
xYhRkUhsmt6hrv8y+//vs+MDbFBfn626VZGyzDJPRpWIh1Drf/jhP9S24+wmjyzG
4nABU29Av9WQ810k3vxXNFzboiFlLLqVVO65Mv3zqQqJFV2d5PnpIkSUwBjcCT7f
vYtSgNrBrdPAGBYWR5/f1Aqgvu/fulL08wyqSorY86MlXReuaTglrdZuzdipwcw+
9JLCJWGYyNfEIz0Qc80CAwEAAaAAMA0GCSqGSIb3DQEBCwUAA4IBAQCp27zg3sQo
rAs5gn5T16825ouPC4+ZgIXWWT2Cjv1EA+hRCWpU3Ou3PXw/nR6x4LcW5/0Rcu3A
CTJY97lcK7YYUv4rRre60TyPkCOC7u2uQc31SKaXUablT5GAHEkTCRXTEP8yxUEF
oVkDXm29LNajqi7F+sGsAOZqIbEnhIMRqwluJkcOgydTfD2uVLSPA2kdm/byUH/Y
LjqOJNHcaOYAJmyJpe7GlGCg19J5cBwKffcA3T7wHI5EQxwFfT7W2ScWho2ICMyC
E/5aL8vAbqmjxkQqduhjLsHFk8zKu+6000JP2/R9arA2iSq+3E1278UIkBV2VD3M
dajf6Xh3PnwJ
-----END CERTIFICATE REQUEST-----
`

const impersonation = 'request impersonation authentication failure'
const authentication = 'request authenticate failure'

describe('a request is refused', () => {
  test.each<[string, () => string | undefined, Ask, string, RegExp]>([
    ['without a token', () => undefined, {}, authentication, /no bearer token/],
    ['with a token that the API does not know (expired)', () => 'Bearer unknown', {}, authentication, /unknown token/],
    [
      'with a token for another audience',
      () => token('t', 'shop:cart', { pod: 'cart-1' }, ['api']),
      {},
      authentication,
      /audience/,
    ],
    [
      'from somebody who is no service account',
      () => {
        api.tokens.set('u', { authenticated: true, audiences: ['istio-ca'], user: { username: 'jane' } })
        return 'Bearer u'
      },
      {},
      authentication,
      /not a service account/,
    ],
    [
      'for a pod on another node',
      zt,
      { impersonate: 'spiffe://cluster.local/ns/shop/sa/pay' },
      impersonation,
      /node n1/,
    ],
    [
      'for an account without any pod',
      zt,
      { impersonate: 'spiffe://cluster.local/ns/shop/sa/none' },
      impersonation,
      /no pod of/,
    ],
    ['for another trust domain', zt, { impersonate: 'spiffe://evil/ns/shop/sa/cart' }, impersonation, /trust domain/],
    ['for what is no identity', zt, { impersonate: 'cart' }, impersonation, /not a SPIFFE identity/],
    [
      'from an account that may not impersonate',
      () => token('c', 'shop:cart', { pod: 'cart-1' }),
      { impersonate: cart },
      impersonation,
      /may not ask/,
    ],
    [
      'from a ztunnel account of another namespace',
      () => token('c', 'shop:ztunnel', { pod: 'cart-1' }),
      { impersonate: cart },
      authentication,
      /another account/,
    ],
    [
      'from a ztunnel whose token is bound to no pod',
      () => token('c', `${system}:ztunnel`),
      { impersonate: cart },
      impersonation,
      /not bound to a pod/,
    ],
    [
      'from a ztunnel whose pod is another one by now',
      () => token('c', `${system}:ztunnel`, { pod: 'zt-1', uid: 'old' }),
      { impersonate: cart },
      authentication,
      /does not exist/,
    ],
    [
      'from a ztunnel whose token says another node',
      () => token('c', `${system}:ztunnel`, { pod: 'zt-1', node: 'n2' }),
      { impersonate: cart },
      impersonation,
      /bound to the node n2/,
    ],
    [
      'from a token of a pod with another account',
      () => token('c', 'shop:pay', { pod: 'cart-1' }),
      {},
      authentication,
      /another account/,
    ],
  ])('%s', async (_what, authorization, request, details, reason) => {
    await expect(ask(authorization(), request)).rejects.toMatchObject({ code: grpcStatus.UNAUTHENTICATED, details })
    expect(log.lines.at(-1)).toMatch(reason)
  })

  test('for too long a time, or with a CSR that is none', async () => {
    await expect(ask(zt(), { impersonate: cart, ttl: 91 * 86_400 })).rejects.toMatchObject({
      code: grpcStatus.INVALID_ARGUMENT,
      details: expect.stringContaining('greater than the max allowed TTL'),
    })
    await expect(ask(zt(), { impersonate: cart, csr: 'nonsense' })).rejects.toMatchObject({
      code: grpcStatus.INVALID_ARGUMENT,
    })
  })

  test('for now, not for good, while the API cannot review tokens', async () => {
    api.fail(/tokenreviews/, 500, 1)
    await expect(ask(zt(), { impersonate: cart })).rejects.toMatchObject({ code: grpcStatus.UNAVAILABLE })
    expect(await ask(zt(), { impersonate: cart })).toHaveLength(3)
  })
})

describe('token reviews', () => {
  const reviews = () => api.requests.filter(({ url }) => url.includes('tokenreviews')).length

  test('are kept for a minute, but never past the token’s end', async () => {
    const payload = Buffer.from(JSON.stringify({ exp: clock / 1000 + 30 })).toString('base64url')
    const short = token(`h.${payload}.s`, 'shop:cart', { pod: 'cart-1' })
    const long = token('long', 'shop:cart', { pod: 'cart-1' })
    for (let i = 0; i < 3; i++) for (const one of [short, long]) await ask(one)
    expect(reviews()).toBe(2)
    clock += 31_000
    api.tokens.clear()
    await expect(ask(short)).rejects.toMatchObject({ details: authentication })
    await ask(long)
    clock += 30_000
    await expect(ask(long)).rejects.toMatchObject({ details: authentication })
  })
})

describe('token reviews of a clock that was set back', () => {
  test('are asked for again: a refused token is not refused, nor a revoked one taken, until the clock is there again', async () => {
    await expect(ask('Bearer later')).rejects.toMatchObject({ details: authentication })
    const early = token('early', 'shop:cart', { pod: 'cart-1' })
    await ask(early)
    clock -= 3_600_000
    api.tokens.clear()
    expect(await ask(token('later', 'shop:cart', { pod: 'cart-1' }))).toHaveLength(3)
    await expect(ask(early)).rejects.toMatchObject({ details: authentication })
  })
})

describe('a given authority', () => {
  const good = {
    'ca-cert.pem': root.certPem,
    'ca-key.pem': pemOf(root.key),
    'root-cert.pem': root.certPem,
    'cert-chain.pem': root.certPem,
  }

  test('that is its own root adds no intermediates', () => {
    expect(parseAuthority(secretOf(good), 's').intermediates).toEqual([])
  })

  test('never shows its key', () => {
    expect(JSON.stringify(parseAuthority(secretOf(good), 's'))).not.toContain('PRIVATE')
  })

  test.each<[string, Record<string, string>, RegExp]>([
    ['without a certificate', { ...good, 'ca-cert.pem': '' }, /ca-cert.pem is missing/],
    ['with a broken key', { ...good, 'ca-key.pem': 'x' }, /ca-key.pem does not parse/],
    [
      'with another’s key',
      { ...good, 'ca-key.pem': pemOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey) },
      /not the key of/,
    ],
    [
      'with an intermediate but no root',
      { ...good, 'ca-cert.pem': intermediate.certPem, 'ca-key.pem': pemOf(intermediate.key), 'root-cert.pem': '' },
      /root-cert.pem is missing/,
    ],
  ])('%s is refused, with the reason', (_what, data, reason) => {
    expect(() => parseAuthority(secretOf(data), 'ns/cacerts')).toThrow(reason)
  })
})
