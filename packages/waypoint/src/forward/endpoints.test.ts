import { create } from '@bufbuild/protobuf'
import { parseIp } from '@wishbone/core/ip'
import { type Address, MeshState } from '@wishbone/core/mesh'
import { workload as proto } from '@wishbone/proto'
import { expect, test } from 'vitest'
import { backendOfService } from '../compile/index.ts'
import { Endpoints } from './endpoints.ts'

const pod = (name: string, ip: string): readonly [string, Address] => {
  const services = { 'shop/web': { ports: [{ servicePort: 80, targetPort: 8080 }] } }
  const value = { uid: name, name, namespace: 'shop', addresses: [parseIp(ip)!], services }
  return [name, create(proto.AddressSchema, { type: { case: 'workload', value } })]
}
const service: readonly [string, Address] = [
  'shop/web',
  create(proto.AddressSchema, { type: { case: 'service', value: { namespace: 'shop', hostname: 'web' } } }),
]
const bound = { kind: 'service', namespace: 'shop', hostname: 'web', port: 80 } as const

test('an endpoint that was tried is tried last, also when something of the mesh has changed meanwhile', () => {
  const state = new MeshState()
  state.apply({ addresses: [service, pod('a', '10.0.0.1'), pod('b', '10.0.0.2')], removed: [] })
  const endpoints = new Endpoints({
    state,
    throughWaypoints: () => false,
    self: () => undefined,
    tunnelPort: 15008,
    random: () => 0,
    now: () => 0,
  })
  const web = backendOfService(bound, 'tcp', 0)!
  const tried = new Set<string>()
  const next = () => {
    const target = endpoints.pick(web, 80, tried)
    tried.add(target.key)
    return target.workload.name
  }
  const first = next()
  state.apply({ addresses: [pod('unrelated', '10.0.0.9')], removed: [] })
  state.apply({ addresses: [pod('c', '10.0.0.3')], removed: ['unrelated'] })
  expect(endpoints.hasOther(web, tried)).toBe(true)
  expect([first, next(), next()].sort()).toEqual(['a', 'b', 'c'])
  expect(endpoints.hasOther(web, tried)).toBe(false)
  state.apply({ addresses: [pod('d', '10.0.0.4')], removed: ['a', 'b'] })
  expect(endpoints.hasOther(web, tried)).toBe(true)
})
