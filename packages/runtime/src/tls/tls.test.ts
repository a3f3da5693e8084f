import net from 'node:net'
import tls from 'node:tls'
import { describe, expect, test } from 'vitest'
import { WorkloadCertificate } from '../certificates/certificate.ts'
import { createCsr } from '../certificates/csr.ts'
import { issueIntermediate, issueLeaf, type Signer, selfSignedRoot } from '../certificates/issue.ts'
import { acceptTls } from './accept.ts'
import { connectTls } from './connect.ts'
import { peerIdentity } from './peer.ts'

const root = selfSignedRoot({ organization: 'cluster.local', ttlSeconds: 86_400 })
const other = selfSignedRoot({ organization: 'cluster.local', ttlSeconds: 86_400 })
const alice = 'spiffe://cluster.local/ns/a/sa/alice'
const bob = 'spiffe://cluster.local/ns/b/sa/bob'

async function certificate(
  identity: string,
  signer: Signer = root,
  extra: { uris?: string[]; dns?: string[]; roots?: string; ttl?: number } = {},
) {
  const { csrPem, key } = await createCsr(identity)
  const leaf = issueLeaf({
    csrPem,
    uriSans: [identity, ...(extra.uris ?? [])],
    dnsSans: extra.dns ?? [],
    ttlSeconds: extra.ttl ?? 600,
    signer,
  })
  const chainPem = signer === root || signer === other ? leaf.pem : leaf.pem + signer.certPem
  return new WorkloadCertificate({ identity, key, chainPem, rootsPem: extra.roots ?? root.certPem })
}

async function tcp(): Promise<[net.Socket, net.Socket]> {
  const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve))
  const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
  await new Promise((resolve) => client.once('connect', resolve))
  server.close()
  return [client, await accepted]
}

async function meet(client: WorkloadCertificate, server: WorkloadCertificate, expectedIdentities = [bob]) {
  const [near, far] = await tcp()
  return Promise.allSettled([
    connectTls(near, { certificate: client, expectedIdentities, timeoutMs: 1000 }),
    acceptTls(far, { certificate: server, trustDomain: 'cluster.local', timeoutMs: 1000 }),
  ])
}

const ok = { status: 'fulfilled' }
const refused = (code: string, message = /./) => ({
  status: 'rejected',
  reason: { code, message: expect.stringMatching(message) },
})

describe('who gets in', () => {
  test('each sees who the other is, over TLS 1.3 with h2', async () => {
    const [client, server] = await meet(await certificate(alice), await certificate(bob))
    expect([client, server]).toMatchObject([ok, ok])
    const [near, far] = [client, server].map((end) => (end as PromiseFulfilledResult<tls.TLSSocket>).value)
    expect(near?.getProtocol()).toBe('TLSv1.3')
    expect(near?.alpnProtocol).toBe('h2')
    expect(peerIdentity(near!)).toMatchObject({ serviceAccount: 'bob' })
    expect(peerIdentity(far!)).toMatchObject({ serviceAccount: 'alice' })
    near?.destroy()
  })

  test('through an intermediate', async () => {
    const intermediate = issueIntermediate({ organization: 'x', ttlSeconds: 3600, signer: root })
    expect(await meet(await certificate(alice, intermediate), await certificate(bob, intermediate))).toMatchObject([
      ok,
      ok,
    ])
  })

  test('any of the expected identities, in any URI SAN; DNS names do not count', async () => {
    const server = await certificate('spiffe://cluster.local/ns/x/sa/first', root, {
      uris: [bob],
      dns: ['shop.example'],
    })
    expect((await meet(await certificate(alice), server, [alice, bob]))[0]).toMatchObject(ok)
    expect((await meet(await certificate(alice), server, ['shop.example']))[0]).toMatchObject(
      refused('identity-mismatch'),
    )
  })

  test.each([[[alice]], [[`${bob}x`]], [[bob.slice(0, -1)]], [[]]])(
    'not a server that is not in %j',
    async (expected) => {
      const [client] = await meet(await certificate(alice), await certificate(bob), expected)
      expect(client).toMatchObject(refused('identity-mismatch', /expected/))
    },
  )

  test('not a server with another root', async () => {
    const [client] = await meet(await certificate(alice), await certificate(bob, other, { roots: other.certPem }))
    expect(client).toMatchObject(refused('tls-failure'))
  })

  test('not a client with another root, nor of another trust domain', async () => {
    const both = root.certPem + other.certPem
    const stranger = await certificate(alice, other, { roots: both })
    expect((await meet(stranger, await certificate(bob)))[1]).toMatchObject(refused('tls-failure', /not accepted/))
    const foreign = await certificate('spiffe://elsewhere/ns/a/sa/alice')
    expect((await meet(foreign, await certificate(bob)))[1]).toMatchObject(refused('identity-mismatch', /elsewhere/))
    const evil = await certificate('spiffe://cluster.local.evil/ns/a/sa/alice')
    expect((await meet(evil, await certificate(bob)))[1]).toMatchObject(refused('identity-mismatch'))
  })

  test.each<[string, tls.ConnectionOptions]>([
    ['without a certificate', { ALPNProtocols: ['h2'] }],
    ['with TLS 1.2', { maxVersion: 'TLSv1.2', minVersion: 'TLSv1.2' }],
  ])('not a client %s', async (_name, options) => {
    const [near, far] = await tcp()
    const client = tls.connect({ socket: near, rejectUnauthorized: false, ...options }).on('error', () => undefined)
    await expect(
      acceptTls(far, { certificate: await certificate(bob), trustDomain: 'cluster.local' }),
    ).rejects.toMatchObject({ code: 'tls-failure' })
    expect(far.destroyed).toBe(true)
    client.destroy()
  })

  test('not a client without ALPN h2', async () => {
    const [near, far] = await tcp()
    const client = tls.connect({
      socket: near,
      rejectUnauthorized: false,
      secureContext: (await certificate(alice)).secureContext(),
    })
    client.on('error', () => undefined)
    const server = acceptTls(far, { certificate: await certificate(bob), trustDomain: 'cluster.local' })
    await expect(server).rejects.toMatchObject({ code: 'tls-failure', message: expect.stringContaining('ALPN') })
    client.destroy()
  })
})

test('a silent or hostile client is cut off', async () => {
  const [near, far] = await tcp()
  const bobs = await certificate(bob)
  await expect(
    acceptTls(far, { certificate: bobs, trustDomain: 'cluster.local', timeoutMs: 30 }),
  ).rejects.toMatchObject({ code: 'tls-failure', message: expect.stringContaining('30 ms') })
  near.destroy()
  const [noisy, far2] = await tcp()
  noisy.on('error', () => undefined).write('GET / HTTP/1.1\r\n\r\n')
  await expect(acceptTls(far2, { certificate: bobs, trustDomain: 'cluster.local' })).rejects.toMatchObject({
    code: 'tls-failure',
  })
})

test('rubbish after the handshake closes the connection', async () => {
  const [near, far] = await tcp()
  const [alices, bobs] = [await certificate(alice), await certificate(bob)]
  const [, server] = await Promise.all([
    connectTls(near, { certificate: alices, expectedIdentities: [bob] }),
    acceptTls(far, { certificate: bobs, trustDomain: 'cluster.local' }),
  ])
  const failed = new Promise((resolve) => server.once('close', resolve))
  server.resume()
  near as unknown as { _handle: { writeLatin1String(request: object, text: string): number } }
  near.write('this is not a TLS record')
  await failed
  expect(server.destroyed).toBe(true)
  near.destroy()
})

test('no session is resumed', async () => {
  const certificates = [await certificate(alice), await certificate(bob)] as const
  const [first] = await meet(...certificates)
  const socket = (first as PromiseFulfilledResult<tls.TLSSocket>).value
  const session = await new Promise<Buffer | undefined>((resolve) => {
    socket.once('session', resolve)
    setTimeout(() => resolve(undefined), 100)
  })
  socket.destroy()
  const [near, far] = await tcp()
  const server = acceptTls(far, { certificate: certificates[1], trustDomain: 'cluster.local' })
  const again = tls.connect({
    socket: near,
    secureContext: certificates[0].secureContext(),
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
    ...(session && { session }),
  })
  await new Promise((resolve) => again.once('secureConnect', resolve))
  expect(again.isSessionReused()).toBe(false)
  await server
  again.destroy()
})
