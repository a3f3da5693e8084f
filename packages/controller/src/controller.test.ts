import { rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { create } from '@bufbuild/protobuf'
import { Metadata } from '@grpc/grpc-js'
import { ca, discovery, typeUrls } from '@wishbone/proto'
import { createCsr } from '@wishbone/runtime/certificates'
import { fixedConnection } from '@wishbone/runtime/kube'
import { callStream, callUnary, meshChannel } from '@wishbone/runtime/xds'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeApiServer } from '../test/fake-api-server.ts'
import { eventually, type Recorder, recorder } from '../test/wait.ts'
import { type Controller, startController } from './controller.ts'
import { watchedKinds } from './kube/index.ts'
import { readControllerSettings } from './settings.ts'

const system = 'wishbone-system'
const secrets = '/api/v1/secrets'
const configMaps = '/api/v1/configmaps'
const pods = '/api/v1/pods'
const classes = '/apis/gateway.networking.k8s.io/v1/gatewayclasses'
const leases = '/apis/coordination.k8s.io/v1/leases'
const rootFile = join(tmpdir(), `wishbone-controller-root-${process.pid}.pem`)
const env = { LISTEN_ADDRESS: '127.0.0.1', XDS_PORT: '0', DEBUG_PORT: '0', POD_NAME: 'controller-1' }

let api: FakeApiServer
let controller: Controller
let log: Recorder

async function start(extra: Record<string, string> = {}): Promise<Controller> {
  controller = await startController(fixedConnection(api.url), readControllerSettings({ ...env, ...extra }), log)
  return controller
}

beforeEach(async () => {
  log = recorder()
  api = new FakeApiServer().install(leases)
  for (const { apiVersion, plural } of Object.values(watchedKinds))
    api.install(apiVersion.includes('/') ? `/apis/${apiVersion}/${plural}` : `/api/${apiVersion}/${plural}`)
  api.put('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: system } })
  const extra = {
    'authentication.kubernetes.io/pod-name': ['zt-1'],
    'authentication.kubernetes.io/pod-uid': ['uid-zt-1'],
  }
  const user = { username: `system:serviceaccount:${system}:ztunnel`, extra }
  api.tokens.set('zt', { authenticated: true, audiences: ['istio-ca'], user })
  api.put(pods, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'zt-1', namespace: system, uid: 'uid-zt-1' },
    spec: { nodeName: 'n1', serviceAccountName: 'ztunnel', containers: [] },
    status: { phase: 'Running', podIP: '10.0.0.9', podIPs: [{ ip: '10.0.0.9' }] },
  })
  await api.listen()
})

afterEach(async () => {
  await controller[Symbol.asyncDispose]()
  await api[Symbol.asyncDispose]().catch(() => {})
  rmSync(rootFile, { force: true })
})

async function ready(): Promise<void> {
  await eventually(`readiness (${controller.pending().join()})`, () => controller.pending().length === 0)
}

async function debug(path: string): Promise<string> {
  return (await fetch(`http://127.0.0.1:${controller.debugPort}${path}`)).text()
}

/** Any target, also one that fetch would refuse. */
function debugRaw(target: string): Promise<string> {
  return new Promise((resolve, reject) => {
    http
      .get({ host: '127.0.0.1', port: controller.debugPort, path: target }, async (response) => {
        let text = ''
        for await (const chunk of response) text += String(chunk)
        resolve(text)
      })
      .on('error', reject)
  })
}

async function channel(): Promise<Awaited<ReturnType<typeof meshChannel>>> {
  const secret = api.find(secrets, system, 'wishbone-ca')!['data'] as Record<string, string>
  writeFileSync(rootFile, Buffer.from(secret['root-cert.pem']!, 'base64'))
  return meshChannel({ address: `https://localhost:${await controller.xdsPort}`, rootCaFile: rootFile })
}

const bearer = (): Metadata => {
  const metadata = new Metadata()
  metadata.set('authorization', 'Bearer zt')
  return metadata
}

describe('the controller', () => {
  test('makes its authority once, becomes ready, and publishes the root', async () => {
    await start()
    await ready()
    const data = await eventually(
      'the root ConfigMap',
      () => api.find(configMaps, system, 'wishbone-ca-root-cert')?.['data'],
    )
    const secret = api.find(secrets, system, 'wishbone-ca')!['data'] as Record<string, string>
    expect((data as Record<string, string>)['root-cert.pem']).toBe(
      Buffer.from(secret['root-cert.pem']!, 'base64').toString(),
    )
    expect(await debug('/ready')).toBe('ready\n')
    await controller[Symbol.asyncDispose]()
    await start()
    await ready()
    expect(api.find(secrets, system, 'wishbone-ca')!['data']).toEqual(secret)
  })

  test('serves configuration and a certificate to a node proxy, and goes on when the API is gone', async () => {
    await start()
    await ready()
    const client = await channel()
    const stream = callStream(client, discovery.AggregatedDiscoveryService.method.deltaAggregatedResources, bearer())
    const got: string[] = []
    stream.on('data', (response: discovery.DeltaDiscoveryResponse) => void got.push(response.typeUrl))
    stream.on('error', () => {})
    stream.write({ typeUrl: typeUrls.authorization })
    stream.write({ typeUrl: typeUrls.address })
    await eventually('both answers', () => got.includes(typeUrls.address) && got.includes(typeUrls.authorization))
    await api[Symbol.asyncDispose]()
    const { csrPem } = await createCsr('spiffe://cluster.local/ns/x/sa/x')
    const method = ca.IstioCertificateService.method.createCertificate
    const identity = `spiffe://cluster.local/ns/${system}/sa/ztunnel`
    const request = create(ca.IstioCertificateRequestSchema, {
      csr: csrPem,
      metadata: { ImpersonatedIdentity: identity },
    })
    const answer = await callUnary(client, method, request, { metadata: bearer(), timeoutMs: 5_000 })
    expect(answer.certChain).toHaveLength(2)
    expect(await debug('/debug/clients')).toContain('ztunnel/n1/zt-1')
    expect(controller.pending()).toEqual([])
    client.close()
  })

  test('writes statuses as the leader', async () => {
    const spec = { controllerName: 'wishbone.dev/gateway-controller' }
    api.put(classes, {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'GatewayClass',
      metadata: { name: 'wishbone' },
      spec,
    })
    await start()
    const status = await eventually('the status', () => api.find(classes, '', 'wishbone')?.['status'])
    expect(JSON.stringify(status)).toContain('"Accepted"')
    expect(await debug('/debug/statuses')).toContain('"leading": true')
  })

  test('says in the Gateway’s status what stands in the way of its infrastructure, and leaves it alone', async () => {
    const apiVersion = 'gateway.networking.k8s.io/v1'
    const gateways = `/apis/${apiVersion}/gateways`
    const accounts = '/api/v1/serviceaccounts'
    const spec = { controllerName: 'wishbone.dev/mesh-controller' }
    api.put(classes, { apiVersion, kind: 'GatewayClass', metadata: { name: 'wishbone-waypoint' }, spec })
    api.put(accounts, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'wp', namespace: 'shop' } })
    const listeners = [{ name: 'mesh', port: 15008, protocol: 'HBONE' }]
    const metadata = { name: 'wp', namespace: 'shop' }
    api.put(gateways, {
      apiVersion,
      kind: 'Gateway',
      metadata,
      spec: { gatewayClassName: 'wishbone-waypoint', listeners },
    })
    await start()
    await eventually('the message', () =>
      JSON.stringify(api.find(gateways, 'shop', 'wp')?.['status'] ?? '').includes('was not made by this controller'),
    )
    expect(api.find(accounts, 'shop', 'wp')!.metadata['labels']).toBeUndefined()
  })

  test('does not write while another living replica leads, and takes over when that one is gone', async () => {
    const own = { name: 'controller-1', namespace: system }
    api.put(pods, { apiVersion: 'v1', kind: 'Pod', metadata: own, spec: { containers: [] } })
    const other = { name: 'controller-0', namespace: system }
    api.put(pods, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: other,
      spec: { containers: [] },
      status: { phase: 'Running' },
    })
    const spec = { holderIdentity: 'controller-0', leaseDurationSeconds: 15, renewTime: new Date().toISOString() }
    api.put(leases, {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'wishbone-controller', namespace: system },
      spec,
    })
    await start()
    await ready()
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(api.find(configMaps, system, 'wishbone-ca-root-cert')).toBeUndefined()
    api.remove(pods, system, 'controller-0')
    await eventually('the take-over', () => api.find(configMaps, system, 'wishbone-ca-root-cert'))
  })

  test('shows no private key in any dump or log line', async () => {
    await start()
    await ready()
    const dumps = await Promise.all(['/debug/config', '/debug/clients', '/debug/statuses'].map(debug))
    for (const text of [...dumps, ...log.lines]) expect(text).not.toContain('PRIVATE KEY')
    expect(dumps[0]).toContain('"scopes"')
  })

  test('answers a target that is no URL', async () => {
    await start()
    await ready()
    expect(await debugRaw('//[')).toContain('Invalid URL')
    expect(await debug('/debug/config')).toContain('"scopes"')
  })

  test('keeps trying while a given authority is broken, and says what is wrong', async () => {
    api.put(secrets, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'cacerts', namespace: system }, data: {} })
    await start()
    await eventually('the reason', () => log.lines.some((line) => line.includes('ca-cert.pem is missing')))
    expect(controller.pending()).toContain('the certificate authority')
    expect(api.find(secrets, system, 'wishbone-ca')).toBeUndefined()
    api.remove(secrets, system, 'cacerts')
    await ready()
  })
})
