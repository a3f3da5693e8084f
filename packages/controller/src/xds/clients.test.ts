import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromBinary, type MessageInitShape } from '@bufbuild/protobuf'
import type { ClientDuplexStream, Client as GrpcClient } from '@grpc/grpc-js'
import { status as grpcStatus, Metadata } from '@grpc/grpc-js'
import { ca, discovery, l7, type TypeUrl, typeUrls, workload } from '@wishbone/proto'
import { selfSignedRoot } from '@wishbone/runtime/certificates'
import { Secret } from '@wishbone/runtime/secret'
import { callStream, callUnary, meshChannel } from '@wishbone/runtime/xds'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { emptyMesh } from '../../test/mesh.ts'
import { eventually, type Recorder, recorder } from '../../test/wait.ts'
import { keepServerCertificate, type ServerCertificate, serverNames } from '../ca/index.ts'
import type { Caller, Review } from '../callers/index.ts'
import { encode } from '../encode/index.ts'
import type { Pod } from '../kinds/index.ts'
import { Clients } from './clients.ts'
import { RenewableCredentials, type RunningGrpcServer, startGrpcServer } from './server.ts'

const root = selfSignedRoot({ organization: 'test', ttlSeconds: 3600 })
const authority = {
  certPem: root.certPem,
  key: new Secret(root.key),
  intermediates: [],
  rootsPem: root.certPem,
  source: 'test',
}
const rootFile = join(tmpdir(), `wishbone-root-${process.pid}.pem`)
const names = serverNames('wishbone-system', 'cluster.local')

let clients: Clients
let options: ConstructorParameters<typeof Clients>[0]
let server: RunningGrpcServer
let credentials: RenewableCredentials
let channel: GrpcClient
let log: Recorder
const callers = new Map<string, Caller>()
/** What is answered of the next tokens, whatever they are. */
const reviews: Review[] = []
const labels = new Map<string, Record<string, string>>()

function caller(
  token: string,
  namespace: string,
  serviceAccount: string,
  podLabels: Record<string, string> = {},
): string {
  callers.set(token, { namespace, serviceAccount, pod: { name: `${token}-pod`, uid: 'u' } })
  labels.set(`${token}-pod`, podLabels)
  return token
}

beforeEach(async () => {
  writeFileSync(rootFile, root.certPem)
  log = recorder()
  const pods = {
    podOf: async (who: Caller): Promise<Pod | undefined> => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: who.pod!.name, namespace: who.namespace, labels: labels.get(who.pod!.name) ?? {} },
      spec: { nodeName: 'n1', serviceAccountName: who.serviceAccount },
    }),
    runsOn: () => true,
  }
  const reviewer = {
    review: async (authorization?: string): Promise<Review> => {
      const instead = reviews.shift()
      if (instead !== undefined) return instead
      const found = callers.get(authorization?.replace('Bearer ', '') ?? '')
      return found === undefined
        ? { kind: 'refused', reason: 'the token is not valid' }
        : { kind: 'caller', caller: found }
    },
  }
  const sources = {
    pods,
    nodeProxyAccounts: new Set(['wishbone-system/ztunnel']),
    serviceAccount: (namespace: string, name: string) => ({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name, namespace, labels: { 'gateway.networking.k8s.io/gateway-name': name } },
    }),
  }
  options = { reviewer, sources, log, observer: { pushed() {}, rejected() {} } }
  clients = new Clients(options)
  let first: ServerCertificate | undefined
  keepServerCertificate(() => authority, names, { log, onRenew: (one) => void (first = one) })[Symbol.dispose]()
  credentials = new RenewableCredentials(first!)
  server = await startGrpcServer({
    credentials,
    host: '127.0.0.1',
    port: 0,
    review: reviewer.review,
    serveStream: (call) => clients.serve(call),
    refuseStream: (review, peer) => clients.refuse(review, peer),
    connectionsPerPeer: 4,
    createCertificate: async () => ({ certChain: [] }),
    refuseCertificate: ({ reason }) => ({ code: grpcStatus.UNAVAILABLE, details: reason }),
    log,
  })
  channel = await meshChannel({ address: `https://localhost:${server.port}`, rootCaFile: rootFile })
  publish()
})

afterEach(async () => {
  channel.close()
  await server[Symbol.asyncDispose]()
  rmSync(rootFile, { force: true })
  callers.clear()
})

interface World {
  readonly workloads?: Record<string, MessageInitShape<typeof workload.WorkloadSchema>>
  readonly listeners?: readonly string[]
}

function publish({ workloads = {}, listeners = [] }: World = {}): void {
  clients.publish(encode(emptyMesh({ workloads, listeners })))
}

class Stream {
  readonly stream: ClientDuplexStream<
    MessageInitShape<typeof discovery.DeltaDiscoveryRequestSchema>,
    discovery.DeltaDiscoveryResponse
  >
  readonly responses: discovery.DeltaDiscoveryResponse[] = []
  error: { code: number; details: string } | undefined

  constructor(token: string) {
    const metadata = new Metadata()
    metadata.set('authorization', `Bearer ${token}`)
    this.stream = callStream(channel, discovery.AggregatedDiscoveryService.method.deltaAggregatedResources, metadata)
    this.stream.on('data', (response) => void this.responses.push(response))
    this.stream.on('error', (error) => void (this.error = error as never))
  }

  send(request: MessageInitShape<typeof discovery.DeltaDiscoveryRequestSchema>): void {
    this.stream.write(request)
  }

  next(typeUrl: TypeUrl): Promise<discovery.DeltaDiscoveryResponse> {
    return eventually(`a response of ${typeUrl}`, () => {
      const index = this.responses.findIndex((response) => response.typeUrl === typeUrl)
      return index < 0 ? undefined : this.responses.splice(index, 1)[0]
    })
  }

  ack(response: discovery.DeltaDiscoveryResponse): void {
    this.send({ typeUrl: response.typeUrl, responseNonce: response.nonce })
  }
}

const { address, authorization, listener } = typeUrls
const named = (response: discovery.DeltaDiscoveryResponse) => response.resources.map(({ name }) => name).sort()

/** A node proxy in wildcard mode that has taken its first answers. */
async function ztunnel(
  initialResourceVersions: Record<string, string> = {},
): Promise<[Stream, discovery.DeltaDiscoveryResponse]> {
  const proxy = new Stream(caller('zt', 'wishbone-system', 'ztunnel'))
  proxy.send({ typeUrl: address, node: { id: 'ztunnel~1.1.1.1~zt.wishbone-system~x' }, initialResourceVersions })
  proxy.send({ typeUrl: authorization, node: { id: 'ztunnel~1.1.1.1~zt.wishbone-system~x' } })
  proxy.ack(await proxy.next(authorization))
  const first = await proxy.next(address)
  proxy.ack(first)
  await eventually('the acknowledgements', () => {
    const types = Object.values(clients.reports().at(-1)?.types ?? {})
    return types.length === 2 && types.every(({ waiting }) => !waiting)
  })
  return [proxy, first]
}

const pod = (name: string, extra: MessageInitShape<typeof workload.WorkloadSchema> = {}) => ({
  uid: `Kubernetes//Pod/shop/${name}`,
  name,
  namespace: 'shop',
  node: 'n1',
  addresses: [Uint8Array.of(10, 0, 0, name.length)],
  ...extra,
})
const uid = (name: string) => `Kubernetes//Pod/shop/${name}`

describe('a node proxy', () => {
  test('gets an answer for every type even when there is nothing', async () => {
    const [, first] = await ztunnel()
    expect(first.resources).toEqual([])
  })

  test('gets what is there, then what changes and what goes, and nothing when nothing changes', async () => {
    publish({ workloads: { [uid('a')]: pod('a') } })
    const [proxy, first] = await ztunnel()
    expect(named(first)).toEqual([uid('a')])
    const decoded = fromBinary(workload.AddressSchema, first.resources[0]!.resource!.value)
    expect(decoded.type.value).toMatchObject({ name: 'a' })
    expect(first.resources[0]!.aliases).toEqual(['/10.0.0.1'])
    publish({ workloads: { [uid('a')]: pod('a') } })
    publish({ workloads: { [uid('bb')]: pod('bb') } })
    const second = await proxy.next(address)
    expect([named(second), second.removedResources]).toEqual([[uid('bb')], [uid('a')]])
  })

  test('that reconnects is told only differences and removals', async () => {
    publish({ workloads: { [uid('a')]: pod('a'), [uid('bb')]: pod('bb') } })
    const [proxy, first] = await ztunnel()
    const versions = Object.fromEntries(first.resources.map(({ name, version }) => [name, version]))
    proxy.stream.cancel()
    publish({ workloads: { [uid('a')]: pod('a'), [uid('ccc')]: pod('ccc') } })
    const [, again] = await ztunnel(versions)
    expect([named(again), again.removedResources]).toEqual([[uid('ccc')], [uid('bb')]])
  })

  test('on demand gets its own node’s workloads and what it asks for, also that there is nothing', async () => {
    publish({
      workloads: {
        [uid('a')]: pod('a'),
        [uid('bb')]: pod('bb', { node: 'n2' }),
        [uid('ccc')]: pod('ccc', { node: 'n2' }),
      },
    })
    const proxy = new Stream(caller('zt', 'wishbone-system', 'ztunnel'))
    proxy.send({ typeUrl: authorization })
    proxy.send({ typeUrl: address, resourceNamesSubscribe: ['*'], resourceNamesUnsubscribe: ['*'] })
    const first = await proxy.next(address)
    expect(named(first)).toEqual([uid('a')])
    proxy.ack(first)
    proxy.send({ typeUrl: address, resourceNamesSubscribe: ['/10.0.0.2', '/10.9.9.9'] })
    const second = await proxy.next(address)
    expect([named(second), second.removedResources]).toEqual([[uid('bb')], ['/10.9.9.9']])
  })

  test('has one unanswered response per type however much changes', async () => {
    const [proxy] = await ztunnel()
    for (let i = 0; i < 20; i++) publish({ workloads: { [uid('a')]: pod('a', { workloadName: `v${i}` }) } })
    const second = await proxy.next(address)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(proxy.responses).toHaveLength(0)
    proxy.ack(second)
    const third = await proxy.next(address)
    const decoded = fromBinary(workload.AddressSchema, third.resources[0]!.resource!.value)
    expect(decoded.type.value).toMatchObject({ workloadName: 'v19' })
  })

  test('that rejects is recorded, and not sent the same again', async () => {
    const [proxy] = await ztunnel()
    publish({ workloads: { [uid('a')]: pod('a') } })
    const response = await proxy.next(address)
    proxy.send({
      typeUrl: address,
      responseNonce: response.nonce,
      errorDetail: { code: 0, message: `${uid('a')}: no` },
    })
    const report = await eventually('the report', () => clients.reports()[0]?.types[address]?.lastRejection)
    expect(report.message).toContain(': no')
    expect(log.lines.some((line) => line.startsWith('warn a client rejected configuration'))).toBe(true)
    expect(proxy.responses).toHaveLength(0)
  })

  test('counts as behind until it has acknowledged', async () => {
    const [proxy] = await ztunnel()
    publish({ workloads: { [uid('a')]: pod('a') } })
    const response = await proxy.next(address)
    expect(clients.behind(uid('a'))).toEqual(['n1'])
    proxy.ack(response)
    await eventually('the acknowledgement', () => clients.behind(uid('a')).length === 0)
  })

  test('leaves when its stream ends', async () => {
    const [proxy] = await ztunnel()
    expect(clients.count('ztunnel')).toBe(1)
    proxy.stream.cancel()
    await eventually('its leaving', () => clients.count('ztunnel') === 0)
  })
})

describe('a gateway', () => {
  test('sees what is in its scope and nothing else, whatever it asks for', async () => {
    publish({ listeners: ['shop/wp', 'other/gw'], workloads: { [uid('a')]: pod('a') } })
    const proxy = new Stream(caller('gw', 'shop', 'wp', { 'gateway.networking.k8s.io/gateway-name': 'wp' }))
    proxy.send({ typeUrl: listener, node: { id: 'router~1.1.1.1~gw.other~x' } })
    const first = await proxy.next(listener)
    expect(named(first)).toEqual(['shop/wp'])
    expect(fromBinary(l7.ListenerSchema, first.resources[0]!.resource!.value).name).toBe('shop/wp')
    proxy.ack(first)
    proxy.send({ typeUrl: listener, resourceNamesSubscribe: ['other/gw'] })
    expect((await proxy.next(listener)).removedResources).toEqual(['other/gw'])
    proxy.send({ typeUrl: address })
    expect((await proxy.next(address)).resources).toEqual([])
  })
})

describe('a client that asks for too much', () => {
  const gateway = () => caller('gw', 'shop', 'wp', { 'gateway.networking.k8s.io/gateway-name': 'wp' })
  beforeEach(() => publish({ listeners: ['shop/wp'] }))

  test('of types, loses its stream', async () => {
    const proxy = new Stream(gateway())
    for (let i = 0; i < 100; i++) proxy.send({ typeUrl: `type.googleapis.com/odd.Type${i}` })
    expect((await eventually('the end', () => proxy.error)).code).toBe(grpcStatus.RESOURCE_EXHAUSTED)
    await eventually('its leaving', () => clients.count('gateway') === 0)
  })

  test('of streams, gets no more until some have ended', async () => {
    const many = Array.from({ length: 20 }, () => new Stream(gateway()))
    for (const proxy of many) proxy.send({ typeUrl: listener })
    await eventually('the refusals', () => many.filter(({ error }) => error?.code === 8).length === 4)
    expect(clients.count('gateway')).toBe(16)
    for (const proxy of many) proxy.stream.cancel()
    await eventually('their leaving', () => clients.count('gateway') === 0)
    const proxy = new Stream(gateway())
    proxy.send({ typeUrl: listener })
    expect(named(await proxy.next(listener))).toEqual(['shop/wp'])
  })
})

describe('a client is refused', () => {
  test.each<[string, () => string, number, RegExp]>([
    ['without a valid token', () => 'bad', grpcStatus.UNAUTHENTICATED, /not valid/],
    [
      'as an ordinary workload',
      () => caller('w', 'shop', 'cart'),
      grpcStatus.PERMISSION_DENIED,
      /neither a node proxy nor/,
    ],
    [
      'as ztunnel of another namespace',
      () => caller('w', 'shop', 'ztunnel'),
      grpcStatus.PERMISSION_DENIED,
      /neither a node proxy nor/,
    ],
    [
      'as a pod with another gateway’s label',
      () => caller('w', 'shop', 'cart', { 'gateway.networking.k8s.io/gateway-name': 'wp' }),
      grpcStatus.PERMISSION_DENIED,
      /neither a node proxy nor/,
    ],
    [
      'as a gateway that no translation knows',
      () => caller('w', 'shop', 'old', { 'gateway.networking.k8s.io/gateway-name': 'old' }),
      grpcStatus.PERMISSION_DENIED,
      /no Gateway in shop runs as old/,
    ],
  ])('%s', async (_what, token, code, details) => {
    const proxy = new Stream(token())
    proxy.send({ typeUrl: address })
    const error = await eventually('the refusal', () => proxy.error)
    expect(error.code).toBe(code)
    expect(error.details).toMatch(details)
  })

  test('for now while nothing was translated', async () => {
    clients = new Clients(options)
    const proxy = new Stream(caller('zt', 'wishbone-system', 'ztunnel'))
    proxy.send({ typeUrl: address })
    expect((await eventually('the refusal', () => proxy.error)).code).toBe(grpcStatus.UNAVAILABLE)
  })
})

describe('the server certificate', () => {
  test('has the names by which proxies call, Istio’s too', () => {
    expect(names).toEqual(
      expect.arrayContaining([
        'wishbone-controller.wishbone-system.svc',
        'wishbone-controller.wishbone-system.svc.cluster.local',
        'istiod.istio-system.svc',
        'localhost',
      ]),
    )
    expect(readFileSync(rootFile, 'utf8')).toContain('BEGIN CERTIFICATE')
  })

  test('can be exchanged while streams are open', async () => {
    const [proxy] = await ztunnel()
    let next: ServerCertificate | undefined
    keepServerCertificate(() => authority, names, { log, onRenew: (one) => void (next = one) })[Symbol.dispose]()
    credentials.renew(next!)
    publish({ workloads: { [uid('a')]: pod('a') } })
    expect(named(await proxy.next(address))).toEqual([uid('a')])
    const fresh = await meshChannel({ address: `https://localhost:${server.port}`, rootCaFile: rootFile })
    await new Promise<void>((resolve, reject) =>
      fresh.waitForReady(Date.now() + 2_000, (error) => (error ? reject(error) : resolve())),
    )
    fresh.close()
  })
})

describe('the port', () => {
  test('reads nothing of a caller without a token, however much that sends', async () => {
    const stream = new Stream('nobody')
    stream.send({ typeUrl: typeUrls.address, resourceNamesSubscribe: ['x'.repeat(8 << 20)] })
    const error = await eventually('the refusal', () => stream.error)
    expect(error).toMatchObject({ code: 16, details: 'the token is not valid' })
  })

  test('answers for a certificate what the review of its token says, and asks for no second one', async () => {
    reviews.push({ kind: 'unavailable', reason: 'too many tokens wait' })
    caller('zt', 'wishbone-system', 'ztunnel')
    const metadata = new Metadata()
    metadata.set('authorization', 'Bearer zt')
    const method = ca.IstioCertificateService.method.createCertificate
    await expect(callUnary(channel, method, { csr: 'x' }, { metadata, timeoutMs: 2_000 })).rejects.toMatchObject({
      code: grpcStatus.UNAVAILABLE,
      details: 'too many tokens wait',
    })
  })

  test('takes no message that is longer than any client needs', async () => {
    callers.set('zt', { namespace: 'wishbone-system', serviceAccount: 'ztunnel', pod: { name: 'zt-1', uid: 'u' } })
    const stream = new Stream('zt')
    stream.send({ typeUrl: typeUrls.address, resourceNamesSubscribe: ['x'.repeat(17 << 20)] })
    expect(await eventually('the refusal', () => stream.error)).toMatchObject({ code: 8 })
  })

  test('turns away a peer with too many connections, says so once, and has room again when some have ended', async () => {
    const sockets = Array.from({ length: 6 }, () => connect(server.port, '127.0.0.1'))
    const closed = new Set<Socket>()
    for (const socket of sockets) {
      socket
        .on('close', () => closed.add(socket))
        .on('error', () => {})
        .resume()
    }
    await eventually('the refusals', () => closed.size === 2)
    expect(log.lines.filter((line) => line.includes('too many are open'))).toHaveLength(1)
    for (const socket of sockets) socket.destroy()
    await eventually('the ends', () => closed.size === 6)
    await expect
      .poll(async () => {
        const socket = connect(server.port, '127.0.0.1').resume()
        socket.on('error', () => {})
        await new Promise((resolve) => setTimeout(resolve, 50))
        return socket.closed
      })
      .toBe(false)
  })
})
