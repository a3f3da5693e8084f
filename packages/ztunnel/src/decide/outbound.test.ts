import { create } from '@bufbuild/protobuf'
import { workload as proto } from '@wishbone/proto'
import { describe, expect, test } from 'vitest'
import { createPick } from '../state/pick.ts'
import { decideOutbound } from './outbound.ts'
import { bytes, memberOf, serviceOf, stateOf, waypointAt, workloadOf } from './testing.ts'

const web = 'web.shop.svc.cluster.local'
const gateHost = 'gate.shop.svc.cluster.local'
const client = workloadOf('client', '10.0.0.1')
const server = workloadOf('server', '10.0.0.2', { services: memberOf(web, 80, 9080) })
const plain = workloadOf('plain', '10.0.0.3', { tunnelProtocol: proto.TunnelProtocol.NONE })
const gate = workloadOf('gate', '10.0.0.9', { services: memberOf(gateHost, 15008, 15008) })
const webService = serviceOf('web', '10.96.0.1')
const gateService = serviceOf('gate', '10.96.0.9', { ports: [{ servicePort: 15008, targetPort: 15008 }] })
const pick = createPick(() => 0)

const decide = (contents: Parameters<typeof stateOf>[0], address: string, network = '', source = client) => {
  const colon = address.lastIndexOf(':')
  const destination = { ip: address.slice(0, colon), port: Number(address.slice(colon + 1)) }
  return decideOutbound(
    stateOf({ ...contents, workloads: [client, ...(contents.workloads ?? [])] }),
    { source, destination, network },
    pick,
  )
}

describe('direct', () => {
  test('an unknown address passes through', () => {
    expect(decide({}, '93.1.2.3:443')).toMatchObject({
      kind: 'tcp',
      why: 'passthrough',
      target: { ip: '93.1.2.3', port: 443 },
    })
  })

  test('a service goes to its endpoint through HBONE, at the target port', () => {
    expect(decide({ services: [webService], workloads: [server] }, '10.96.0.1:80')).toMatchObject({
      kind: 'hbone',
      through: 'workload',
      hop: { ip: '10.0.0.2', port: 15008 },
      authority: '10.0.0.2:9080',
      identities: ['spiffe://cluster.local/ns/shop/sa/server'],
    })
  })

  test('extra names of the service are accepted as identities', () => {
    const services = [serviceOf('web', '10.96.0.1', { subjectAltNames: ['spiffe://x/ns/a/sa/b'] })]
    const decision = decide({ services, workloads: [server] }, '10.96.0.1:80')
    expect(decision.kind === 'hbone' && decision.identities).toContain('spiffe://x/ns/a/sa/b')
  })

  test('a pod IP keeps its port', () => {
    expect(decide({ workloads: [server] }, '10.0.0.2:1234')).toMatchObject({
      kind: 'hbone',
      authority: '10.0.0.2:1234',
    })
  })

  test('a workload without HBONE gets plain TCP', () => {
    expect(decide({ workloads: [plain] }, '10.0.0.3:5432')).toMatchObject({
      kind: 'tcp',
      why: 'plaintext',
      target: { ip: '10.0.0.3', port: 5432 },
    })
  })

  test('a service without healthy endpoints refuses, also for a port it does not serve', () => {
    const sick = workloadOf('server', '10.0.0.2', {
      services: memberOf(web, 80, 9080),
      status: proto.WorkloadStatus.UNHEALTHY,
    })
    expect(decide({ services: [webService], workloads: [sick] }, '10.96.0.1:80')).toMatchObject({
      kind: 'reject',
      code: 'no-healthy-upstream',
    })
    expect(decide({ services: [webService], workloads: [server] }, '10.96.0.1:81')).toMatchObject({
      kind: 'reject',
      code: 'no-healthy-upstream',
    })
  })

  test('a PASSTHROUGH service without endpoints passes through', () => {
    const services = [serviceOf('ext', '240.0.0.1', { loadBalancing: { mode: proto.LoadBalancing_Mode.PASSTHROUGH } })]
    expect(decide({ services }, '240.0.0.1:443')).toMatchObject({ kind: 'tcp', why: 'passthrough' })
  })

  test('a workload known by hostname is to be looked up', () => {
    const named = workloadOf('db', '', {
      hostname: 'db.example.com',
      tunnelProtocol: proto.TunnelProtocol.NONE,
      services: memberOf(web, 80, 5432),
    })
    expect(decide({ services: [webService], workloads: [named] }, '10.96.0.1:80')).toMatchObject({
      kind: 'resolve',
      hostname: 'db.example.com',
      port: 5432,
    })
  })

  test.each(['127.0.0.1:15001', '127.0.0.1:15006', '127.9.9.9:15008', '::1:15008'])('%s is refused', (address) => {
    expect(decide({}, address)).toMatchObject({ kind: 'reject', code: 'unknown-destination' })
  })

  test('another network is refused with a clear message', () => {
    const far = workloadOf('far', '10.0.0.7', { network: 'b', services: memberOf(web, 80, 80) })
    const decision = decide({ services: [webService], workloads: [far] }, '10.96.0.1:80')
    expect(decision).toMatchObject({ kind: 'reject', code: 'unknown-destination' })
    expect(decision.kind === 'reject' && decision.hint).toMatch(/not supported/)
  })

  test('a dual-stack endpoint is reached in the family of the VIP', () => {
    const both = workloadOf('server', '10.0.0.2', {
      addresses: [bytes('10.0.0.2'), bytes('fd00::2')],
      services: memberOf(web, 80, 80),
    })
    const services = [
      serviceOf('web', '10.96.0.1', { addresses: [{ address: bytes('10.96.0.1') }, { address: bytes('fd00:96::1') }] }),
    ]
    expect(decide({ services, workloads: [both] }, 'fd00:96::1:80')).toMatchObject({
      hop: { ip: 'fd00::2' },
      authority: '[fd00::2]:80',
    })
    expect(decide({ services, workloads: [both] }, '10.96.0.1:80')).toMatchObject({ hop: { ip: '10.0.0.2' } })
  })
})

describe('waypoints', () => {
  const services = [serviceOf('web', '10.96.0.1', { waypoint: waypointAt(gateHost) }), gateService]

  test('a service with a waypoint goes to it with the original destination', () => {
    expect(decide({ services, workloads: [server, gate] }, '10.96.0.1:80')).toMatchObject({
      kind: 'hbone',
      through: 'waypoint',
      hop: { ip: '10.0.0.9', port: 15008 },
      authority: '10.96.0.1:80',
      identities: ['spiffe://cluster.local/ns/shop/sa/gate'],
      service: { hostname: web },
      workload: { name: 'gate' },
    })
  })

  test.each([
    ['is not known', [services[0]!], [server]],
    ['has no endpoint', services, [server]],
    [
      'has only an unhealthy endpoint',
      services,
      [
        server,
        workloadOf('gate', '10.0.0.9', {
          services: memberOf(gateHost, 15008, 15008),
          status: proto.WorkloadStatus.UNHEALTHY,
        }),
      ],
    ],
    [
      'is on another network',
      services,
      [server, workloadOf('gate', '10.0.0.9', { network: 'b', services: memberOf(gateHost, 15008, 15008) })],
    ],
  ])('refuses when the waypoint %s', (_, given, workloads) => {
    const decision = decide({ services: given, workloads }, '10.96.0.1:80')
    expect(decision).toMatchObject({ kind: 'reject', code: 'waypoint-unavailable' })
    expect(decision.kind === 'reject' && decision.message).toContain(gateHost)
  })

  test('a pod IP bypasses the waypoint of its service, but not its own', () => {
    const own = workloadOf('own', '10.0.0.4', { waypoint: waypointAt(gateHost), services: memberOf(web, 80, 80) })
    expect(decide({ services, workloads: [server, gate] }, '10.0.0.2:9080')).toMatchObject({ through: 'workload' })
    expect(decide({ services, workloads: [own, gate] }, '10.0.0.4:80')).toMatchObject({
      through: 'waypoint',
      authority: '10.0.0.4:80',
    })
  })

  test('a workload waypoint is not used for a call by service', () => {
    const own = workloadOf('own', '10.0.0.4', { waypoint: waypointAt(gateHost), services: memberOf(web, 80, 80) })
    expect(decide({ services: [webService, gateService], workloads: [own, gate] }, '10.96.0.1:80')).toMatchObject({
      through: 'workload',
    })
  })

  test('the waypoint itself goes direct', () => {
    const own = workloadOf('own', '10.0.0.4', { waypoint: waypointAt(gateHost) })
    expect(decide({ services, workloads: [own, gate] }, '10.0.0.4:80', '', gate)).toMatchObject({ through: 'workload' })
  })

  test('weighted waypoints are chosen by weight', () => {
    const second = workloadOf('gate2', '10.0.0.10')
    const weighted = serviceOf('web', '10.96.0.1', {
      waypoint: waypointAt(gateHost),
      weightedWaypoints: [
        { destination: waypointAt(gateHost), weight: 0 },
        {
          destination: create(proto.GatewayAddressSchema, {
            destination: { case: 'address', value: { address: bytes('10.0.0.10') } },
            hboneMtlsPort: 15008,
          }),
          weight: 100,
        },
      ],
    })
    expect(decide({ services: [weighted, gateService], workloads: [gate, second] }, '10.96.0.1:80')).toMatchObject({
      hop: { ip: '10.0.0.10' },
    })
  })
})
