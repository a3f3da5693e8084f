import { expect, test } from 'vitest'
import type { ApiClient } from './client/api.ts'
import { schemeOf, schemeOfPort } from './schemes.ts'
import type { Service } from './types.ts'

test.each([
  [{ port: 80 }, 'http'],
  [{ port: 443 }, 'https'],
  [{ port: 9000 }, 'tcp'],
  [{ port: 9000, name: 'http-web' }, 'http'],
  [{ port: 80, name: 'tcp-echo' }, 'tcp'],
  [{ port: 80, name: 'http', appProtocol: 'HTTPS' }, 'https'],
  [{ port: 8883, name: 'tls' }, 'tls'],
  [{ port: 80, name: 'web', appProtocol: 'kubernetes.io/h2c' }, 'http'],
  [{ port: 53, protocol: 'UDP' }, 'udp'],
])('a Service’s port %o: %s', (port, scheme) => expect(schemeOfPort(port)).toBe(scheme))

test.each([
  ['an HTTP listener', 80, 'http'],
  ['a TCP listener', 9000, 'tcp'],
  ['TLS that is passed on', 443, 'tls'],
  ['a ListenerSet’s listener', 8443, 'https'],
  ['a ListenerSet of another Gateway of the same name says nothing', 9999, 'tcp'],
])('a gateway’s port: %s', async (_what, port, scheme) => {
  const set = (namespace: string, parentRef: object, listeners: object[]) => ({
    metadata: { name: 'more', namespace },
    spec: { parentRef, listeners },
  })
  const objects: Readonly<Record<string, unknown>> = {
    '/apis/gateway.networking.k8s.io/v1/namespaces/infra/gateways/edge': {
      spec: {
        listeners: [
          { port: 80, protocol: 'HTTP' },
          { port: 9000, protocol: 'UDP' },
          { port: 9000, protocol: 'TCP' },
          { port: 443, protocol: 'TLS' },
        ],
      },
    },
    '/apis/gateway.networking.k8s.io/v1/listenersets': {
      items: [
        set('team', { name: 'edge', namespace: 'infra' }, [{ port: 8443, protocol: 'HTTPS' }]),
        set('team', { name: 'edge' }, [{ port: 9999, protocol: 'HTTP' }]),
      ],
    },
  }
  const client = { kube: { get: async (path: string) => objects[path] } } as unknown as ApiClient
  const ownerReferences = [{ apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway', name: 'edge', uid: 'u' }]
  const service = { metadata: { name: 'edge-wishbone', namespace: 'infra', ownerReferences } } as unknown as Service
  expect(await schemeOf(client, service, { port, name: `port-${port}` })).toBe(scheme)
})
