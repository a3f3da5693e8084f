// The form that istioctl's own types read (istio: istioctl/pkg/writer/ztunnel/configdump/api.go); a name or type that differs
// leaves a column empty, or the whole dump unread.
import { X509Certificate } from 'node:crypto'
import { create } from '@bufbuild/protobuf'
import { workload as proto, security } from '@wishbone/proto'
import { createCsr, issueLeaf, selfSignedRoot } from '@wishbone/runtime/certificates'
import { createLogger } from '@wishbone/runtime/log'
import { createMetrics } from '@wishbone/runtime/metrics'
import { expect, test } from 'vitest'
import { bytes, memberOf, policyOf, serviceOf, stateOf, waypointAt, workloadOf } from '../decide/testing.ts'
import { configDump, type DumpInputs } from './config-dump.ts'
import { Reporter } from './reporter.ts'

function dumpOf(inputs: Partial<DumpInputs>): Record<string, unknown> {
  const all = { state: stateOf({}), certificates: [], pods: [], config: {}, trustDomain: 'cluster.local', ...inputs }
  return JSON.parse(JSON.stringify(configDump(all))) as Record<string, unknown>
}

test('workloads and services name their waypoint as one text, as istioctl looks it up', () => {
  const host = 'server.shop.svc.cluster.local'
  const server = workloadOf('server', '10.0.0.2', {
    waypoint: create(proto.GatewayAddressSchema, {
      destination: { case: 'address', value: { network: '', address: bytes('10.96.0.9') } },
      hboneMtlsPort: 15008,
    }),
    services: memberOf(host, 80, 8080),
    node: 'node1',
  })
  const service = serviceOf('server', '10.96.0.1', {
    waypoint: waypointAt('waypoint.shop.svc.cluster.local'),
    loadBalancing: {
      mode: proto.LoadBalancing_Mode.FAILOVER,
      routingPreference: [proto.LoadBalancing_Scope.REGION, proto.LoadBalancing_Scope.ZONE],
      healthPolicy: proto.LoadBalancing_HealthPolicy.ONLY_HEALTHY,
    },
  })
  const dump = dumpOf({ state: stateOf({ workloads: [server], services: [service] }) })
  expect(dump['workloads']).toEqual([
    {
      uid: 'Kubernetes//Pod/shop/server',
      workloadIps: ['10.0.0.2'],
      waypoint: { destination: '/10.96.0.9', port: 15008 },
      protocol: 'HBONE',
      name: 'server',
      namespace: 'shop',
      serviceAccount: 'server',
      workloadName: 'server',
      workloadType: 'deployment',
      canonicalName: 'server',
      canonicalRevision: 'latest',
      clusterId: 'Kubernetes',
      trustDomain: 'cluster.local',
      locality: {},
      node: 'node1',
      network: '',
      status: 'Healthy',
      hostname: '',
      capacity: 1,
      authorizationPolicies: [],
      nativeTunnel: false,
      services: [`shop/${host}`],
    },
  ])
  expect(dump['services']).toEqual([
    {
      name: 'server',
      namespace: 'shop',
      hostname: host,
      vips: ['/10.96.0.1'],
      ports: { 80: 8080 },
      waypoint: { destination: 'shop/waypoint.shop.svc.cluster.local', port: 15008 },
      endpoints: {
        'Kubernetes//Pod/shop/server': {
          workloadUid: 'Kubernetes//Pod/shop/server',
          service: `shop/${host}`,
          port: { 80: 8080 },
          status: 'Healthy',
        },
      },
      subjectAltNames: [],
      ipFamilies: 'AUTOMATIC',
      loadBalancer: { mode: 'Failover', routingPreferences: ['Region', 'Zone'], healthPolicy: 'OnlyHealthy' },
    },
  ])
})

test('policies have rules of clauses of matches', () => {
  const policy = policyOf('few', {
    action: security.Action.DENY,
    scope: security.Scope.WORKLOAD_SELECTOR,
    rules: [
      {
        clauses: [
          {
            matches: [
              {
                principals: [{ matchType: { case: 'exact', value: 'cluster.local/ns/a/sa/b' } }],
                notNamespaces: [{ matchType: { case: 'prefix', value: 'x' } }],
                sourceIps: [{ address: bytes('10.0.0.0'), length: 8 }],
                destinationPorts: [80],
              },
            ],
          },
        ],
      },
    ],
  })
  expect(dumpOf({ state: stateOf({ policies: [policy] }) })['policies']).toEqual([
    {
      name: 'few',
      namespace: 'shop',
      scope: 'WorkloadSelector',
      action: 'Deny',
      dryRun: false,
      rules: [
        [
          [
            {
              principals: [{ Exact: 'cluster.local/ns/a/sa/b' }],
              notNamespaces: [{ Prefix: 'x' }],
              sourceIps: ['10.0.0.0/8'],
              destinationPorts: [80],
            },
          ],
        ],
      ],
    },
  ])
})

test('each certificate of a chain and each root has a serial number and its times', async () => {
  const identity = 'spiffe://cluster.local/ns/shop/sa/server'
  const root = selfSignedRoot({ organization: 'cluster.local', ttlSeconds: 3_600 })
  const { csrPem } = await createCsr(identity)
  const leaf = issueLeaf({ csrPem, uriSans: [identity], ttlSeconds: 600, signer: root })
  const certificate = {
    chainPem: leaf.pem + root.certPem,
    rootsPem: root.certPem,
    serial: '',
    notBefore: new Date(),
    notAfter: new Date(),
  }
  const dump = dumpOf({
    certificates: [
      { identity, state: 'Available', certificate },
      { identity: 'spiffe://other', state: 'Unavailable', error: 'refused' },
    ],
  })
  const entryOf = (pem: string) => {
    const { serialNumber, validFrom, validTo } = new X509Certificate(pem)
    return {
      pem: Buffer.from(pem).toString('base64'),
      serialNumber: String(BigInt(`0x${serialNumber}`)),
      validFrom: new Date(validFrom).toISOString(),
      expirationTime: new Date(validTo).toISOString(),
    }
  }
  expect(dump['certificates']).toEqual([
    {
      identity,
      state: 'Available',
      certChain: [entryOf(leaf.pem), entryOf(root.certPem)],
      rootCerts: [entryOf(root.certPem)],
    },
    { identity: 'spiffe://other', state: 'Unavailable', error: 'refused', certChain: [], rootCerts: [] },
  ])
  expect(JSON.stringify(dump)).not.toContain('PRIVATE')
})

test('connections are shown from the pod, an inbound one with the application behind the tunnel', () => {
  const log = createLogger({ program: 'z', sink: { write: () => undefined, flush: () => undefined, dropped: 0 } })
  const reporter = new Reporter({ log, metrics: createMetrics({ process: false }), now: () => 0 })
  const connections = [
    reporter.open({
      direction: 'outbound',
      source: { address: '10.0.0.1:5' },
      destination: { address: '10.0.0.2:15008', hboneAddress: '10.0.0.2:8080' },
      originalDestination: '10.96.0.1:80',
    }),
    reporter.open({
      direction: 'inbound',
      source: { address: '10.0.0.3:7' },
      destination: { address: '10.0.0.1:15008', hboneAddress: '10.0.0.1:8080' },
      originalDestination: '10.0.0.1:8080',
    }),
  ]
  const info = { name: 'client', namespace: 'shop', serviceAccount: 'client' }
  expect(dumpOf({ pods: [{ uid: 'u', state: 'serving', info, connections }] })['workloadState']).toEqual({
    u: {
      state: 'Up',
      connections: {
        inbound: [{ src: '10.0.0.3:7', originalDst: '10.0.0.1:8080', actualDst: '10.0.0.1:8080', protocol: 'HBONE' }],
        outbound: [{ src: '10.0.0.1:5', originalDst: '10.96.0.1:80', actualDst: '10.0.0.2:15008', protocol: 'HBONE' }],
      },
      info: { ...info, trustDomain: 'cluster.local' },
    },
  })
})
