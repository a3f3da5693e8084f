import { expect, test } from 'vitest'
import type { EndpointSlice, Service } from '../types.ts'
import { type Directory, resolveName } from './records.ts'

const service = (name: string, spec: Service['spec']): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'shop' },
  spec,
})
const services = new Map([
  [
    'shop/web',
    service('web', {
      clusterIP: '10.96.1.1',
      clusterIPs: ['10.96.1.1', 'fd00:10:96::100'],
      ports: [{ name: 'http', port: 80 }],
    }),
  ],
  ['shop/db', service('db', { clusterIP: 'None', ports: [{ name: 'sql', port: 5432 }] })],
])
const slice: EndpointSlice = {
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'db-ipv4', namespace: 'shop' },
  addressType: 'IPv4',
  ports: [{ name: 'sql', port: 5433, protocol: 'TCP' }],
  endpoints: [
    { addresses: ['10.244.1.2'], hostname: 'db-0', conditions: { ready: true } },
    { addresses: ['10.244.2.2'], hostname: 'db-1', conditions: { ready: false } },
  ],
}
const directory: Directory = {
  domain: 'cluster.local',
  service: (namespace, name) => services.get(`${namespace}/${name}`),
  slices: (_namespace, name) => (name === 'db' ? [slice] : []),
  outside: new Map([['outside.example', ['172.30.0.2']]]),
}

test.each([
  ['web.shop.svc.cluster.local', { kind: 'addresses', addresses: ['10.96.1.1', 'fd00:10:96::100'] }],
  ['WEB.shop.svc.cluster.local.', { kind: 'addresses', addresses: ['10.96.1.1', 'fd00:10:96::100'] }],
  ['db.shop.svc.cluster.local', { kind: 'addresses', addresses: ['10.244.1.2'] }],
  ['db-0.db.shop.svc.cluster.local', { kind: 'addresses', addresses: ['10.244.1.2'] }],
  ['10-244-1-2.db.shop.svc.cluster.local', { kind: 'addresses', addresses: ['10.244.1.2'] }],
  ['db-1.db.shop.svc.cluster.local', { kind: 'unknown' }],
  [
    '_http._tcp.web.shop.svc.cluster.local',
    { kind: 'services', records: [{ target: 'web.shop.svc.cluster.local', port: 80 }] },
  ],
  [
    '_sql._tcp.db.shop.svc.cluster.local',
    { kind: 'services', records: [{ target: 'db-0.db.shop.svc.cluster.local', port: 5433 }] },
  ],
  ['nothing.shop.svc.cluster.local', { kind: 'unknown' }],
  ['web.shop', { kind: 'unknown' }],
  ['svc.cluster.local', { kind: 'unknown' }],
  ['outside.example', { kind: 'addresses', addresses: ['172.30.0.2'] }],
])('%s', (name, answer) => {
  expect(resolveName(directory, name)).toEqual(answer)
})
