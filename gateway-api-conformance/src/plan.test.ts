import { describe, expect, test } from 'vitest'
import { type Catalogue, planProfiles, planTests } from './plan.ts'

const catalogue: Catalogue = {
  profiles: [
    { name: 'GATEWAY-HTTP', core: ['Gateway', 'HTTPRoute'], extended: ['GatewayExtra', 'Redirect'] },
    { name: 'GATEWAY-TLS', core: ['Gateway', 'TLSRoute'], extended: ['GatewayExtra'] },
    { name: 'MESH-HTTP', core: ['Mesh', 'HTTPRoute'], extended: ['MeshExtra'] },
    { name: 'MESH-GRPC', core: ['Mesh', 'GRPCRoute'], extended: ['MeshExtra'] },
  ],
  tests: [
    { name: 'GatewayTest', features: ['Gateway', 'GatewayExtra'] },
    { name: 'HTTPRouteRedirect', features: ['Gateway', 'HTTPRoute', 'Redirect'] },
    { name: 'Both', features: ['Gateway', 'HTTPRoute', 'TLSRoute'] },
    { name: 'MeshBasic', features: ['Mesh'] },
    { name: 'MeshExtra', features: ['Mesh', 'HTTPRoute', 'MeshExtra'] },
    { name: 'MeshRedirect', features: ['Mesh', 'HTTPRoute', 'Redirect'] },
    { name: 'MeshGRPC', features: ['Mesh', 'GRPCRoute'] },
  ],
}
const all = ['GRPCRoute', 'Gateway', 'GatewayExtra', 'HTTPRoute', 'Mesh', 'MeshExtra', 'Redirect', 'TLSRoute']

describe('planProfiles', () => {
  test.each([
    [['MESH-HTTP'], ['MeshBasic', 'MeshExtra', 'MeshRedirect'], ['HTTPRoute', 'Mesh', 'MeshExtra', 'Redirect']],
    [['MESH-GRPC'], ['MeshBasic', 'MeshGRPC'], ['GRPCRoute', 'Mesh', 'MeshExtra']],
    [
      ['GATEWAY-HTTP'],
      ['GatewayTest', 'HTTPRouteRedirect'],
      ['Gateway', 'GatewayExtra', 'HTTPRoute', 'MeshExtra', 'Redirect'],
    ],
    [
      ['GATEWAY-HTTP', 'GATEWAY-TLS'],
      ['GatewayTest', 'HTTPRouteRedirect', 'Both'],
      ['Gateway', 'GatewayExtra', 'HTTPRoute', 'MeshExtra', 'Redirect', 'TLSRoute'],
    ],
  ])('%j: the tests of the profiles and what is outside of all but about their kinds', (asked, wanted, features) => {
    const plan = planProfiles(catalogue, all, asked)
    expect(plan.wanted).toEqual(wanted)
    expect(plan.features).toEqual(features)
    expect(plan.missing.size).toBe(0)
  })
  test('a test whose feature we lack is still wanted, and named', () => {
    const lacking = all.filter((feature) => feature !== 'Redirect')
    const plan = planProfiles(catalogue, lacking, ['MESH-HTTP'])
    expect(plan.wanted).toContain('MeshRedirect')
    expect(plan.missing).toEqual(new Map([['MeshRedirect', ['Redirect']]]))
  })
  test('an unknown profile is refused with those that exist', () => {
    expect(() => planProfiles(catalogue, all, ['MESH'])).toThrow('there is no profile MESH; there are GATEWAY-HTTP')
  })
})

test('single tests bring their features, supported or not', () => {
  expect(planTests(catalogue, ['MeshRedirect']).features).toEqual(['HTTPRoute', 'Mesh', 'Redirect'])
  expect(() => planTests(catalogue, ['Redirect'])).toThrow('did you mean HTTPRouteRedirect or MeshRedirect?')
})
