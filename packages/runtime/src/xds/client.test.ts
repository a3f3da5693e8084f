// Against a gRPC server in this process, over TLS as in production.
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { create } from '@bufbuild/protobuf'
import grpc from '@grpc/grpc-js'
import { ca, discovery } from '@wishbone/proto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CaClient } from '../certificates/ca-client.ts'
import { parseCsr } from '../certificates/csr.ts'
import { issueLeaf, type Signer, selfSignedRoot } from '../certificates/issue.ts'
import { AdsClient } from './client.ts'
import { grpcServiceOf } from './grpc.ts'
import { type AdsType, adsType } from './types.ts'

const wild = 'type.googleapis.com/test.Wild'
const lazy = 'type.googleapis.com/test.Lazy'
const identity = 'spiffe://cluster.local/ns/shop/sa/web'
type Request = discovery.DeltaDiscoveryRequest
type Call = grpc.ServerDuplexStream<Request, unknown>

let folder: string
let root: Signer
let server: grpc.Server
let port: number
let stop: AbortController
let requests: { stream: number; request: Request }[]
let streams: Call[]
let metadata: grpc.Metadata[]
let onRequest: (call: Call, request: Request) => void

async function listen(at = 0): Promise<void> {
  server = new grpc.Server()
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const leaf = issueLeaf({ publicKey, dnsSans: ['localhost'], ttlSeconds: 600, signer: root })
  const pair = {
    private_key: Buffer.from(privateKey.export({ format: 'pem', type: 'pkcs8' })),
    cert_chain: Buffer.from(leaf.pem),
  }
  server.addService(grpcServiceOf(discovery.AggregatedDiscoveryService), {
    deltaAggregatedResources(call: Call) {
      const stream = streams.push(call) - 1
      metadata.push(call.metadata)
      call.on('data', (request: Request) => {
        requests.push({ stream, request })
        onRequest(call, request)
      })
      call.on('error', () => undefined)
      call.on('end', () => call.end())
    },
  })
  server.addService(grpcServiceOf(ca.IstioCertificateService), {
    createCertificate(
      call: grpc.ServerUnaryCall<ca.IstioCertificateRequest, unknown>,
      reply: grpc.sendUnaryData<unknown>,
    ) {
      metadata.push(call.metadata)
      const wanted = call.request.metadata?.['ImpersonatedIdentity']
      if (wanted === 'spiffe://forbidden')
        return reply({ code: grpc.status.UNAUTHENTICATED, details: 'request impersonation authentication failure' })
      const issued = issueLeaf({
        publicKey: parseCsr(call.request.csr).publicKey,
        uriSans: [String(wanted)],
        ttlSeconds: Number(call.request.validityDuration),
        signer: root,
      })
      reply(null, { certChain: [issued.pem, root.certPem] })
    },
  })
  port = await new Promise((resolve, reject) =>
    server.bindAsync(`localhost:${at}`, grpc.ServerCredentials.createSsl(null, [pair]), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  )
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wishbone-xds-'))
  root = selfSignedRoot({ organization: 'test', ttlSeconds: 3600 })
  await writeFile(join(folder, 'root.pem'), root.certPem)
  await writeFile(join(folder, 'token'), 'first\n')
  stop = new AbortController()
  requests = []
  streams = []
  metadata = []
  onRequest = () => undefined
  await listen()
})
afterEach(async () => {
  stop.abort()
  server.forceShutdown()
  await rm(folder, { recursive: true })
})

const held = new Map<string, string>()
const wildType = adsType({
  typeUrl: wild,
  mode: 'wildcard',
  decode(bytes) {
    const text = Buffer.from(bytes).toString()
    if (text.startsWith('bad')) throw new Error('it is bad')
    return text
  },
  apply(resources, removed) {
    for (const { name, value } of resources) held.set(name, value)
    for (const name of removed) held.delete(name)
    return resources.filter(({ value }) => value === 'unwanted').map(({ name }) => ({ name, reason: 'unwanted' }))
  },
})
const lazyType = adsType({ typeUrl: lazy, mode: 'on-demand', decode: (bytes) => bytes, apply: () => undefined })

function client(types: readonly AdsType[] = [wildType]): AdsClient {
  held.clear()
  const one = new AdsClient({
    address: `https://localhost:${port}`,
    rootCaFile: join(folder, 'root.pem'),
    tokenFile: join(folder, 'token'),
    clusterId: 'Kubernetes',
    node: { id: 'ztunnel~1.1.1.1~z.ns~ns.svc.cluster.local', metadata: { NODE_NAME: 'one' } },
    types,
    log: { info: () => undefined, warn: () => undefined },
  })
  void one.run(stop.signal)
  return one
}

function respond(
  call: Call,
  typeUrl: string,
  nonce: string,
  resources: Record<string, string>,
  removed: string[] = [],
): void {
  const list = Object.entries(resources).map(([name, text]) =>
    create(discovery.ResourceSchema, { name, version: `v-${text}`, resource: { typeUrl, value: Buffer.from(text) } }),
  )
  call.write(
    create(discovery.DeltaDiscoveryResponseSchema, { typeUrl, nonce, resources: list, removedResources: removed }),
  )
}

describe('AdsClient', () => {
  test('asks for everything, with who it is, and is ready after the first answer', async () => {
    onRequest = (call, request) => {
      if (request.responseNonce === '') respond(call, wild, 'n1', { a: 'one' })
    }
    const ads = client()
    expect(ads.ready()).toBe(false)
    expect(ads.pending()).toEqual([wild])
    await ads.whenReady
    await expect.poll(() => requests.length).toBe(2)
    expect(requests[0]?.request).toMatchObject({
      typeUrl: wild,
      resourceNamesSubscribe: [],
      node: { id: expect.stringMatching(/^ztunnel~/), metadata: { NODE_NAME: 'one' } },
    })
    expect(requests[1]?.request).toMatchObject({ responseNonce: 'n1', typeUrl: wild })
    expect(requests[1]?.request).not.toMatchObject({ node: expect.anything() })
    expect(requests[1]?.request).not.toMatchObject({ errorDetail: expect.anything() })
    expect(metadata[0]?.get('authorization')).toEqual(['Bearer first'])
    expect(metadata[0]?.get('clusterid')).toEqual(['Kubernetes'])
    expect(held).toEqual(new Map([['a', 'one']]))
  })

  test('a response that needs several turns is taken whole, and those behind it wait for their turn', async () => {
    const turns: string[] = []
    const slow = adsType({
      typeUrl: wild,
      mode: 'wildcard',
      decode(bytes) {
        // Longer than a turn may take.
        for (const until = performance.now() + 5; performance.now() < until; );
        return bytes.toString()
      },
      apply: (resources, removed) => void turns.push(`${resources.length} taken, ${removed} removed`),
    })
    onRequest = (call, request) => {
      if (request.responseNonce !== '' || request.typeUrl !== wild) return
      setImmediate(() => turns.push('another turn'))
      respond(call, wild, 'n1', { a: 'one', b: 'two', c: 'three' })
      respond(call, wild, 'n2', {}, ['a'])
      respond(call, wild, 'n3', {}, ['b'])
    }
    const ads = client([slow])
    await ads.whenReady
    await expect.poll(() => requests.map(({ request }) => request.responseNonce)).toEqual(['', 'n1', 'n2', 'n3'])
    expect(turns).toEqual(['another turn', '3 taken,  removed', '0 taken, a removed', '0 taken, b removed'])
  })

  test('a response is acknowledged when it is in force, and the next one does not wait for that', async () => {
    const force = Promise.withResolvers<void>()
    const late: AdsType = { ...wildType, inForce: () => force.promise }
    onRequest = (call, request) => {
      if (request.responseNonce !== '') return
      respond(call, wild, 'n1', { a: 'one' })
      respond(call, lazy, 'n2', { b: 'two' })
    }
    client([late, { ...lazyType, mode: 'wildcard' }])
    const nonces = () => requests.map(({ request }) => request.responseNonce).filter((nonce) => nonce !== '')
    await expect.poll(() => nonces()).toContain('n2')
    expect(held.get('a')).toBe('one')
    expect(nonces()).not.toContain('n1')
    force.resolve()
    await expect.poll(() => nonces()).toContain('n1')
  })

  test('what leaves is not taken away before what came earlier, and may have named it, is in force', async () => {
    const force = Promise.withResolvers<void>()
    const gone: string[] = []
    const late: AdsType = { ...wildType, inForce: () => force.promise }
    const named = adsType({
      typeUrl: lazy,
      mode: 'wildcard',
      decode: (bytes) => bytes,
      apply: (_, removed) => void gone.push(...removed),
    })
    onRequest = (call, request) => {
      if (request.responseNonce !== '' || request.typeUrl !== wild) return
      respond(call, wild, 'n1', { a: 'names another' })
      respond(call, lazy, 'n2', {}, ['named'])
      respond(call, wild, 'n3', { b: 'more' })
    }
    client([late, named])
    await expect.poll(() => held.get('a')).toBe('names another')
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(gone).toEqual([])
    force.resolve()
    await expect.poll(() => gone).toEqual(['named'])
    await expect.poll(() => held.get('b')).toBe('more')
  })

  test('takes the good of a response and says what it did not take', async () => {
    onRequest = (call, request) => {
      if (request.responseNonce === '') respond(call, wild, 'n1', { a: 'one', b: 'bad', c: 'unwanted' })
    }
    client()
    await expect.poll(() => requests.length).toBe(2)
    expect(requests[1]?.request.errorDetail?.message).toBe('b: does not decode: it is bad; c: unwanted')
    expect(held.get('a')).toBe('one')
  })

  test('connects again with the versions it holds and a new token', async () => {
    onRequest = (call, request) => {
      if (request.responseNonce === '' && streams.length === 1)
        respond(call, wild, 'n1', { a: 'one', b: 'two', c: 'bad' })
      if (request.responseNonce === 'n1') respond(call, wild, 'n2', { a: 'three' }, ['b'])
    }
    client()
    await expect.poll(() => requests.length).toBe(3)
    await writeFile(join(folder, 'token'), 'second')
    streams[0]?.end()
    await expect.poll(() => requests.length).toBe(4)
    expect(requests[3]).toMatchObject({
      stream: 1,
      request: { initialResourceVersions: { a: 'v-three' }, node: { id: expect.anything() } },
    })
    expect(metadata[1]?.get('authorization')).toEqual(['Bearer second'])
  })

  test('survives a server that goes away and comes back with another root', async () => {
    onRequest = (call, request) => {
      if (request.responseNonce === '') respond(call, wild, 'n1', { a: `from ${streams.length}` })
    }
    const ads = client()
    await ads.whenReady
    server.forceShutdown()
    await expect.poll(() => ads.connected).toBe(false)
    root = selfSignedRoot({ organization: 'test', ttlSeconds: 3600 })
    await writeFile(join(folder, 'root.pem'), root.certPem)
    await listen(port)
    await expect.poll(() => held.get('a'), { timeout: 5000 }).toBe('from 2')
    expect(ads.ready()).toBe(true)
  })

  test('is back within 3 s of a server that was away for long', { timeout: 20_000 }, async () => {
    server.forceShutdown()
    client()
    await new Promise((resolve) => setTimeout(resolve, 6_000))
    onRequest = (call, request) => {
      if (request.responseNonce === '') respond(call, wild, 'n1', { a: 'late' })
    }
    await listen(port)
    await expect.poll(() => held.get('a'), { timeout: 3_000 }).toBe('late')
  })

  test('does not talk to a server that it cannot verify', async () => {
    await writeFile(join(folder, 'root.pem'), selfSignedRoot({ organization: 'other', ttlSeconds: 60 }).certPem)
    client()
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(streams).toEqual([])
  })

  test('asks for names on demand, and waits for each answer, even "there is none"', async () => {
    onRequest = (call, request) => {
      const names = request.resourceNamesSubscribe.filter((name) => name !== '*')
      if (names.length > 0) respond(call, lazy, 'n', { [names[0]!]: 'x' }, names.slice(1))
    }
    const ads = client([lazyType])
    await ads.subscribe(lazy, ['early', 'missing'])
    await ads.subscribe(lazy, ['/10.0.0.1'])
    await ads.subscribe(lazy, ['/10.0.0.1'])
    expect(requests[0]?.request).toMatchObject({
      resourceNamesSubscribe: ['*', 'early', 'missing'],
      resourceNamesUnsubscribe: ['*'],
    })
    onRequest = () => undefined
    await expect(ads.subscribe(lazy, ['silence'], 30)).rejects.toMatchObject({ code: 'workload-unknown' })
  })

  test('a fault while applying is reported, not fatal', async () => {
    onRequest = (call, request) => {
      if (request.responseNonce === '') respond(call, wild, 'n1', { a: 'one' })
    }
    client([
      {
        typeUrl: wild,
        mode: 'wildcard',
        apply: () => {
          throw new Error('oops')
        },
      },
    ])
    await expect.poll(() => requests.at(-1)?.request.errorDetail?.message).toBe('a: not applied: oops')
  })
})

describe('CaClient', () => {
  const make = (timeoutMs = 10_000) =>
    new CaClient({
      address: `https://localhost:${port}`,
      rootCaFile: join(folder, 'root.pem'),
      tokenFile: join(folder, 'token'),
      clusterId: 'Kubernetes',
      ttlSeconds: 600,
      impersonate: true,
      timeoutMs,
    })

  test('gets a certificate for the identity that it names', async () => {
    const authority = make()
    const certificate = await authority.fetch(identity)
    expect(certificate).toMatchObject({ identity, rootsPem: root.certPem })
    expect(certificate.notAfter.getTime()).toBeGreaterThan(Date.now() + 500_000)
    expect(metadata[0]?.get('authorization')).toEqual(['Bearer first'])
    authority.close()
  })

  test('says who refused what', async () => {
    const authority = make()
    const error = await authority.fetch('spiffe://forbidden').catch((cause: unknown) => cause)
    expect(error).toMatchObject({
      code: 'certificate-unavailable',
      message: expect.stringContaining('impersonation'),
      hint: expect.stringContaining('spiffe://forbidden'),
    })
    authority.close()
  })

  test('reads the root file again', async () => {
    const authority = make()
    await authority.fetch(identity)
    server.forceShutdown()
    root = selfSignedRoot({ organization: 'test', ttlSeconds: 3600 })
    await writeFile(join(folder, 'root.pem'), root.certPem)
    await listen(port)
    expect((await authority.fetch(identity)).rootsPem).toBe(root.certPem)
    authority.close()
  })

  test('does not wait for ever for a controller that went while it connected', async () => {
    server.forceShutdown()
    const open: Socket[] = []
    const mute = createServer((socket) => void open.push(socket.resume())).listen(port, 'localhost')
    await once(mute, 'listening')
    const authority = make(400)
    await expect(authority.fetch(identity)).rejects.toMatchObject({ code: 'certificate-unavailable' })
    mute.close()
    await listen(port)
    expect(await authority.fetch(identity)).toMatchObject({ identity })
    authority.close()
    await expect.poll(() => open.map(({ readyState }) => readyState)).toEqual(open.map(() => 'closed'))
  })

  test('gives up a connection after 5 s though nobody else asks', { timeout: 15_000 }, async () => {
    server.forceShutdown()
    const mute = createServer((socket) => void socket.resume()).listen(port, 'localhost')
    await once(mute, 'listening')
    const authority = make()
    const began = performance.now()
    await expect(authority.fetch(identity)).rejects.toMatchObject({ code: 'certificate-unavailable' })
    expect(performance.now() - began).toBeLessThan(8_000)
    authority.close()
    mute.close()
  })

  test('has one connection however many ask at once', async () => {
    let connections = 0
    const direct = port
    const relay = createServer((socket) => {
      connections++
      const onward = connect(direct, 'localhost')
      socket.pipe(onward).pipe(socket)
      for (const one of [socket, onward]) one.on('error', () => undefined)
    }).listen(0, 'localhost')
    await once(relay, 'listening')
    port = (relay.address() as AddressInfo).port
    const authority = make()
    await Promise.all([authority.fetch(identity), authority.fetch(identity), authority.fetch(identity)])
    expect(connections).toBe(1)
    authority.close()
    relay.close()
  })
})
