import { describe, expect, test } from 'vitest'
import { closedPorts } from './follow.ts'
import { type Gateway, type ListenerSet, linksOf, outcomeOf } from './gateways.ts'

type Listener = Gateway['spec']['listeners'][number]

function gateway(listeners: readonly Partial<Listener>[], status: Gateway['status'] = {}, generation = 1): Gateway {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'edge', namespace: 'shop', generation },
    spec: {
      gatewayClassName: 'wishbone',
      listeners: listeners.map((listener, index) => ({ name: `l${index}`, port: 80, protocol: 'HTTP', ...listener })),
    },
    status,
  }
}

const serving = (name: string) => ({ name, conditions: [{ type: 'Programmed', status: 'True' as const }] })

describe('links', () => {
  test('listeners of its ListenerSets, and of no others', () => {
    const setOf = (namespace: string, parentRef: ListenerSet['spec']['parentRef']): ListenerSet => ({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'ListenerSet',
      metadata: { name: 'more', namespace },
      spec: { parentRef, listeners: [{ name: 'web', port: 443, protocol: 'HTTPS' }] },
      status: { listeners: [serving('web')] },
    })
    const sets = [setOf('team', { name: 'edge', namespace: 'shop' }), setOf('team', { name: 'edge' })]
    const status = { addresses: [{ value: '127.0.0.1' }], listeners: [serving('l0')] }
    expect(linksOf(gateway([{}], status), 8000, sets)).toEqual([
      'shop/edge l0: http://127.0.0.1:8080',
      'shop/edge web of team/more: https://127.0.0.1:8443',
    ])
  })

  test.each([
    ['a low port has the offset', { port: 80 }, '127.0.0.1', 'http://127.0.0.1:8080'],
    ['a high port has not', { port: 3000, protocol: 'HTTPS' }, '127.0.0.1', 'https://127.0.0.1:3000'],
    ['a name that means the loopback', { hostname: 'a.localhost' }, '127.0.0.1', 'http://a.localhost:8080'],
    ['which it does not elsewhere', { hostname: 'a.localhost' }, '192.0.2.1', 'http://192.0.2.1:8080, for a.localhost'],
    ['another name', { hostname: '*.example.com' }, '::1', 'http://[::1]:8080, for *.example.com'],
    ['bytes', { protocol: 'TCP', port: 9000 }, '127.0.0.1', 'tcp://127.0.0.1:9000'],
    ['TLS that is passed on', { protocol: 'TLS', port: 443 }, '127.0.0.1', 'tls://127.0.0.1:8443'],
    ['another protocol', { protocol: 'UDP', port: 53 }, '127.0.0.1', 'udp://127.0.0.1:8053'],
  ])('%s', (_what, listener, address, url) => {
    const status = { addresses: [{ value: address }], listeners: [serving('l0')] }
    expect(linksOf(gateway([listener], status), 8000)).toEqual([`shop/edge l0: ${url}`])
  })

  test('only of listeners that serve, and of a Gateway that has an address', () => {
    const status = { addresses: [{ value: '127.0.0.1' }], listeners: [serving('l1')] }
    expect(linksOf(gateway([{}, { port: 81 }], status), 8000)).toEqual(['shop/edge l1: http://127.0.0.1:8081'])
    expect(linksOf(gateway([{}], { listeners: [serving('l0')] }), 8000)).toEqual([])
  })
})

test.each([
  ['no status', {}, 'ignored'],
  ['the default status', { status: 'Unknown', reason: 'Pending', observedGeneration: 1 }, 'ignored'],
  ['of an older generation', { status: 'True', observedGeneration: 0 }, 'pending'],
  ['on its way', { status: 'False', reason: 'Pending', observedGeneration: 1 }, 'pending'],
  ['wrong', { status: 'False', reason: 'Invalid', observedGeneration: 1 }, 'failed'],
  ['good', { status: 'True', observedGeneration: 1 }, 'serving'],
] as const)('outcome of a Gateway: %s', (_what, programmed, expected) => {
  const conditions = 'status' in programmed ? [{ type: 'Programmed', ...programmed }] : []
  expect(outcomeOf(gateway([{}], { conditions })).kind).toBe(expected)
})

test('ports that a waypoint could not open', () => {
  const text =
    'not ready, waiting for: xds, port 80: listen EADDRINUSE: address already in use 127.0.0.1:8080, listeners'
  expect(closedPorts(text)).toEqual(['port 80: listen EADDRINUSE: address already in use 127.0.0.1:8080'])
  expect(closedPorts('port 53/udp: bind EACCES')).toEqual(['port 53/udp: bind EACCES'])
  expect(closedPorts('')).toEqual([])
})
