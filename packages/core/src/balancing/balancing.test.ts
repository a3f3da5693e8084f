import { create } from '@bufbuild/protobuf'
import { workload as proto } from '@wishbone/proto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Endpoint } from '../mesh/types.ts'
import { addressOf, type BalancingFacts, candidatesOf, pickEndpoint, pickWeighted, targetPortOf } from './index.ts'

type WorkloadInit = Parameters<typeof create<typeof proto.WorkloadSchema>>[1]
const { REGION, ZONE, NODE, NETWORK } = proto.LoadBalancing_Scope
const { STRICT, FAILOVER, UNSPECIFIED_MODE } = proto.LoadBalancing_Mode
const v4 = Uint8Array.of(10, 0, 0, 1)
const v6 = Uint8Array.of(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)

const endpoint = (name: string, init: WorkloadInit = {}, ports: [number, number][] = [[80, 8080]]): Endpoint => ({
  workload: create(proto.WorkloadSchema, { uid: name, name, addresses: [v4], ...init }),
  ports: new Map(ports),
})
const service = (
  mode: proto.LoadBalancing_Mode = UNSPECIFIED_MODE,
  routingPreference: proto.LoadBalancing_Scope[] = [],
) => create(proto.ServiceSchema, { loadBalancing: { mode, routingPreference } })
const at = (region: string, zone: string, node: string): WorkloadInit => ({ locality: { region, zone }, node })
const from = (region: string, zone: string, node: string): BalancingFacts => ({
  clientLocality: create(proto.LocalitySchema, { region, zone }),
  node,
})
const names = (endpoints: readonly Endpoint[]) => endpoints.map(({ workload }) => workload.name)

describe('localities', () => {
  const endpoints = [
    endpoint('same-node', at('r1', 'z1', 'n1')),
    endpoint('same-zone', at('r1', 'z1', 'n2')),
    endpoint('same-region', at('r1', 'z2', 'n3')),
    endpoint('same-zone-name', at('r2', 'z1', 'n4')),
  ]
  const all = names(endpoints)
  const cases: [string, proto.LoadBalancing_Mode, proto.LoadBalancing_Scope[], BalancingFacts, string[]][] = [
    ['no preference', UNSPECIFIED_MODE, [], from('r1', 'z1', 'n1'), all],
    ['unspecified mode', UNSPECIFIED_MODE, [REGION], from('r1', 'z1', 'n1'), all],
    ['strict node', STRICT, [NODE], from('r1', 'z1', 'n1'), ['same-node']],
    ['strict node, none there', STRICT, [NODE], from('r1', 'z1', 'n9'), []],
    ['strict, all scopes', STRICT, [REGION, ZONE], from('r1', 'z1', 'n9'), ['same-node', 'same-zone']],
    ['failover to the longest run', FAILOVER, [REGION, ZONE, NODE], from('r1', 'z1', 'n1'), ['same-node']],
    ['failover, zone', FAILOVER, [REGION, ZONE, NODE], from('r1', 'z1', 'n9'), ['same-node', 'same-zone']],
    ['failover, first mismatch stops', FAILOVER, [REGION, ZONE], from('r2', 'z2', 'n9'), ['same-zone-name']],
    ['failover, nothing matches', FAILOVER, [REGION, ZONE], from('r9', 'z1', 'n9'), all],
    ['failover, network first', FAILOVER, [NETWORK, REGION], from('r2', 'z9', 'n9'), ['same-zone-name']],
  ]
  test.each(cases)('%s', (_, mode, scopes, facts, expected) => {
    expect(names(candidatesOf(service(mode, scopes), endpoints, facts))).toEqual(expected)
  })
})

describe('what counts as a candidate', () => {
  const cases: [string, Endpoint, boolean][] = [
    ['with port and address', endpoint('a'), true],
    ['without the port', endpoint('a', {}, [[81, 1]]), false],
    ['without an address', endpoint('a', { addresses: [] }), false],
    ['with a hostname', endpoint('a', { addresses: [], hostname: 'example.com' }), true],
    ['behind a gateway', endpoint('a', { addresses: [], networkGateway: {} }), true],
    ['with capacity 0', endpoint('a', { capacity: 0 }), false],
    ['with an application tunnel', endpoint('a', { applicationTunnel: {} }, []), true],
    ['of a forbidden family', endpoint('a', { addresses: [v6] }), false],
  ]
  test.each(cases)('%s: %#', (_, candidate, expected) => {
    const only4 = create(proto.ServiceSchema, { ipFamilies: proto.IPFamilies.IPV4_ONLY })
    expect(candidatesOf(only4, [candidate], { port: 80 }).length === 1).toBe(expected)
  })

  test('what the caller does not accept', () => {
    const endpoints = [endpoint('a'), endpoint('b')]
    const accept = ({ workload }: Endpoint) => workload.uid !== 'a'
    expect(names(candidatesOf(service(), endpoints, { accept }))).toEqual(['b'])
  })
})

describe('target port', () => {
  const withPorts = create(proto.ServiceSchema, {
    ports: [
      { servicePort: 80, targetPort: 8000 },
      { servicePort: 81, targetPort: 0 },
    ],
  })
  test.each([
    ['of the endpoint', endpoint('a', {}, [[80, 9000]]), 80, 9000],
    ['of the service', endpoint('a', {}, []), 80, 8000],
    ['of the service if the endpoint leaves it open', endpoint('a', {}, [[80, 0]]), 80, 8000],
    ['nobody knows', endpoint('a', {}, []), 81, undefined],
    ['of an application tunnel', endpoint('a', { applicationTunnel: {} }, []), 81, 81],
    ['unknown port', endpoint('a', {}, []), 82, undefined],
  ])('%s', (_, candidate, port, expected) => expect(targetPortOf(withPorts, candidate, port)).toBe(expected))
})

test('an address of the wanted family first, and only of families that the service allows', () => {
  const both = endpoint('a', { addresses: [v4, v6] }).workload
  const only6 = create(proto.ServiceSchema, { ipFamilies: proto.IPFamilies.IPV6_ONLY })
  expect(addressOf(both, undefined, 6)).toBe(v6)
  expect(addressOf(both, undefined, 4)).toBe(v4)
  expect(addressOf(both, only6, 4)).toBe(v6)
  expect(addressOf(endpoint('a').workload, only6, 4)).toBeUndefined()
})

describe('weights', () => {
  test('capacity decides how often', () => {
    const endpoints = [endpoint('a', { capacity: 3 }), endpoint('b'), endpoint('c', { capacity: 0 })]
    const picked = [0, 0.74, 0.76, 0.99].map(
      (value) => pickEndpoint(service(), endpoints, {}, () => value)?.workload.name,
    )
    expect(picked).toEqual(['a', 'a', 'b', 'b'])
  })

  test('none to choose from', () => {
    expect(pickEndpoint(service(), [], {}, () => 0)).toBeUndefined()
    expect(
      pickWeighted(
        [1, 2],
        () => 0,
        () => 0.5,
      ),
    ).toBeUndefined()
  })

  test('never one of weight zero, always one if there is weight', () => {
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    fc.assert(
      fc.property(fc.array(fc.nat(5)), random, (weights, value) => {
        const picked = pickWeighted(
          weights,
          (weight) => weight,
          () => value,
        )
        if (weights.some((weight) => weight > 0)) expect(picked).toBeGreaterThan(0)
        else expect(picked).toBeUndefined()
      }),
    )
  })
})
