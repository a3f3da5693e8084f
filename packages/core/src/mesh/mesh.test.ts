import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { workload as proto, security } from '@wishbone/proto'
import { describe, expect, test } from 'vitest'
import { parseIp } from '../ip/index.ts'
import { type Address, identityOf, isMissing, type MeshChange, MeshState, resolveService } from './index.ts'

type WorkloadInit = MessageInitShape<typeof proto.WorkloadSchema>
type ServiceInit = MessageInitShape<typeof proto.ServiceSchema>
type Named = readonly [string, Address]
const ip = (text: string) => parseIp(text)!
const { HBONE, LEGACY_ISTIO_MTLS } = proto.TunnelProtocol
const { HOST_NETWORK } = proto.NetworkMode
const { UNHEALTHY } = proto.WorkloadStatus
const { ALLOW_ALL } = proto.LoadBalancing_HealthPolicy

const workload = (name: string, address: string, init: WorkloadInit = {}): Named => {
  const uid = init.uid ?? `Kubernetes//Pod/shop/${name}`
  const value = { uid, name, namespace: 'shop', addresses: address === '' ? [] : [ip(address)], ...init }
  return [uid, create(proto.AddressSchema, { type: { case: 'workload', value } })]
}
const service = (namespace: string, hostname: string, vips: string[] = [], init: ServiceInit = {}): Named => {
  const addresses = vips.map((vip) => {
    const [address, length] = vip.split('/')
    return { address: ip(address!), ...(length === undefined ? {} : { length: Number(length) }) }
  })
  const value = { name: hostname, namespace, hostname, addresses, ...init }
  return [`${namespace}/${hostname}`, create(proto.AddressSchema, { type: { case: 'service', value } })]
}
const member = (...names: string[]): WorkloadInit => ({
  services: Object.fromEntries(names.map((name) => [name, { ports: [{ servicePort: 80, targetPort: 8080 }] }])),
})
const meshOf = (...addresses: Named[]): MeshState => {
  const mesh = new MeshState()
  expect(mesh.apply({ addresses, removed: [] })).toEqual([])
  return mesh
}
const set = (mesh: MeshState, ...addresses: Named[]) => mesh.apply({ addresses, removed: [] })
const remove = (mesh: MeshState, ...removed: string[]) => mesh.apply({ addresses: [], removed })

describe('workloads by address', () => {
  const at = '10.0.0.1'
  const pod = workload('pod', at)
  const meshPod = workload('mesh-pod', at, { tunnelProtocol: HBONE })
  const entry = workload('entry', at, { uid: 'Kubernetes/networking.istio.io/WorkloadEntry/shop/entry' })
  const meshEntry = workload('mesh-entry', at, { uid: 'Kubernetes/x/WorkloadEntry/shop/e2', tunnelProtocol: HBONE })
  const cases: [string, Named[], string | undefined][] = [
    ['one owner', [pod], 'pod'],
    ['a Pod before another kind', [pod, entry], 'pod'],
    ['a Pod before another kind that speaks HBONE', [meshEntry, pod], 'pod'],
    ['among Pods, HBONE', [meshPod, pod], 'mesh-pod'],
    ['among others, HBONE', [entry, meshEntry], 'mesh-entry'],
    ['among equals, the newest', [pod, workload('new', at)], 'new'],
    ['not those of the host network', [workload('host', at, { networkMode: HOST_NETWORK })], undefined],
    ['not those of another network', [workload('far', at, { network: 'n2' })], undefined],
    ['a mapped address is its IPv4 address', [workload('m', '::ffff:10.0.0.1')], 'm'],
  ]
  test.each(cases)('%s', (_, addresses, expected) => {
    expect(meshOf(...addresses).workloadByAddress('', at)?.name).toBe(expected)
  })

  test('the next owner takes over when the first leaves', () => {
    const mesh = meshOf(pod, entry)
    remove(mesh, pod[0])
    expect(mesh.workloadByAddress('', at)?.name).toBe('entry')
    remove(mesh, entry[0])
    expect(mesh.workloadByAddress('', at)).toBeUndefined()
  })

  test('a workload that changes leaves its old address', () => {
    const mesh = meshOf(pod)
    set(mesh, workload('pod', '10.0.0.9'))
    expect(mesh.workloadByAddress('', at)).toBeUndefined()
    expect(mesh.workloadByAddress('', '10.0.0.9')?.name).toBe('pod')
    expect(mesh.workloadsByName('shop', 'pod')).toHaveLength(1)
    expect(mesh.sizes.workloads).toBe(1)
  })

  test('host network workloads are found by uid and name', () => {
    const mesh = meshOf(workload('host', at, { networkMode: HOST_NETWORK }))
    expect(mesh.workloadByUid('Kubernetes//Pod/shop/host')?.name).toBe('host')
    expect(mesh.workloadsByName('shop', 'host').map(({ name }) => name)).toEqual(['host'])
  })
})

describe('services by address and hostname', () => {
  const vip = '10.96.0.1'
  const cases: [string, Named[], string | undefined, string | undefined][] = [
    ['one owner', [service('a', 'x', [vip])], undefined, 'a'],
    ['the client namespace', [service('a', 'x', [vip]), service('b', 'x', [vip])], 'b', 'b'],
    ['the canonical one', [service('a', 'x', [vip]), service('b', 'x', [vip], { canonical: true })], 'c', 'b'],
    [
      'the client namespace before canonical',
      [service('a', 'x', [vip]), service('b', 'x', [vip], { canonical: true })],
      'a',
      'a',
    ],
    ['the first, whatever came first', [service('b', 'x', [vip]), service('a', 'x', [vip])], 'c', 'a'],
    ['not one that is invisible', [service('a', 'x', [vip], { visibility: 1, canonical: true })], 'c', undefined],
    ['one that is visible at home', [service('a', 'x', [vip], { visibility: 1 })], 'a', 'a'],
    [
      'a visible one beside an invisible one',
      [service('a', 'x', [vip], { visibility: 1 }), service('b', 'x', [vip])],
      'c',
      'b',
    ],
    ['a network', [service('a', 'x', ['10.96.0.0/16'])], undefined, 'a'],
    ['the longest prefix', [service('a', 'x', ['10.96.0.0/16']), service('b', 'y', ['10.96.0.0/24'])], 'c', 'b'],
    ['the exact VIP before networks', [service('a', 'x', ['10.96.0.0/24']), service('b', 'y', [vip])], 'c', 'b'],
    [
      'the client namespace before the prefix',
      [service('a', 'x', ['10.96.0.0/16']), service('b', 'y', ['10.96.0.0/24'])],
      'a',
      'a',
    ],
    ['a full length is a VIP', [service('a', 'x', ['10.96.0.1/32'])], undefined, 'a'],
    ['not outside the network', [service('a', 'x', ['10.97.0.0/16'])], undefined, undefined],
    ['everything', [service('a', 'x', ['0.0.0.0/0'])], undefined, 'a'],
    ['not the other family', [service('a', 'x', ['::/0'])], undefined, undefined],
    ['a mapped network', [service('a', 'x', ['::ffff:10.96.0.0/112'])], undefined, 'a'],
  ]
  test.each(cases)('%s', (_, services, client, expected) => {
    expect(meshOf(...services).serviceByAddress('', vip, client)?.namespace).toBe(expected)
  })

  test('removal of a service with VIPs and networks leaves nothing', () => {
    const mesh = meshOf(service('a', 'x', [vip, '10.96.0.0/16', 'fd00::/8']))
    remove(mesh, 'a/x')
    expect(mesh.servicesByAddress('', vip)).toEqual([])
    expect(mesh.servicesByAddress('', 'fd00::1')).toEqual([])
    expect(mesh.servicesByHostname('x')).toEqual([])
    expect(mesh.sizes.services).toBe(0)
  })

  test('VIPs belong to a network', () => {
    const value = { namespace: 'a', hostname: 'x', addresses: [{ network: 'n2', address: ip(vip) }] }
    const mesh = meshOf(['a/x', create(proto.AddressSchema, { type: { case: 'service', value } })])
    expect(mesh.serviceByAddress('', vip)).toBeUndefined()
    expect(mesh.serviceByAddress('n2', vip)?.hostname).toBe('x')
  })

  test('hostnames, and the preferred namespace', () => {
    const mesh = new MeshState({ preferredNamespace: 'b' })
    set(mesh, service('a', 'x'), service('b', 'x'))
    expect(mesh.servicesByHostname('x').map(({ namespace }) => namespace)).toEqual(['a', 'b'])
    expect(mesh.serviceByHostname('x', 'c')?.namespace).toBe('b')
    expect(mesh.serviceByHostname('x', 'a')?.namespace).toBe('a')
    expect(resolveService([], 'a')).toBeUndefined()
  })

  test('an address that is both: a workload to find, a service to go to', () => {
    const mesh = meshOf(service('a', 'x', [vip]), workload('pod', vip))
    expect(mesh.findAddress('', vip)?.kind).toBe('workload')
    expect(mesh.findUpstream('', vip)?.kind).toBe('service')
    expect(mesh.findUpstream('', '10.9.9.9')).toBeUndefined()
  })

  test('waypoints by hostname and by address', () => {
    const mesh = meshOf(service('a', 'way', [vip]), workload('pod', '10.0.0.1'))
    const gateway = (destination: MessageInitShape<typeof proto.GatewayAddressSchema>['destination']) =>
      mesh.resolveGateway(create(proto.GatewayAddressSchema, { destination: destination! }))
    expect(gateway({ case: 'hostname', value: { namespace: 'a', hostname: 'way' } })?.kind).toBe('service')
    expect(gateway({ case: 'hostname', value: { namespace: 'b', hostname: 'way' } })).toBeUndefined()
    expect(gateway({ case: 'address', value: { address: ip(vip) } })?.kind).toBe('service')
    expect(gateway({ case: 'address', value: { address: ip('10.0.0.1') } })?.kind).toBe('workload')
    expect(gateway({ case: 'address', value: { address: new Uint8Array(3) } })).toBeUndefined()
    expect(gateway({ case: undefined })).toBeUndefined()
  })
})

describe('endpoints', () => {
  const names = (mesh: MeshState, name = 'shop/cart') =>
    mesh.endpointsOf(name).map((endpoint) => endpoint.workload.name)
  const cart = service('shop', 'cart')

  test('a workload may arrive before its service', () => {
    const mesh = meshOf(workload('a', '10.0.0.1', member('shop/cart')))
    expect(names(mesh)).toEqual([])
    expect(mesh.stagedServices()).toEqual(['shop/cart'])
    set(mesh, cart)
    expect(names(mesh)).toEqual(['a'])
    expect(mesh.stagedServices()).toEqual([])
    remove(mesh, 'shop/cart')
    expect(names(mesh)).toEqual([])
    set(mesh, cart)
    expect(names(mesh)).toEqual(['a'])
  })

  test('ports of the endpoint', () => {
    const mesh = meshOf(cart, workload('a', '10.0.0.1', member('shop/cart')))
    expect(mesh.endpointsOf('shop/cart')[0]!.ports.get(80)).toBe(8080)
    expect(mesh.endpointOf('shop/cart', 'Kubernetes//Pod/shop/a')?.workload.name).toBe('a')
  })

  test('only healthy ones, unless the service takes all', () => {
    const sick = workload('b', '10.0.0.2', { ...member('shop/cart'), status: UNHEALTHY })
    const mesh = meshOf(cart, workload('a', '10.0.0.1', member('shop/cart')), sick)
    expect(names(mesh)).toEqual(['a'])
    set(mesh, service('shop', 'cart', [], { loadBalancing: { healthPolicy: ALLOW_ALL } }))
    expect(names(mesh)).toEqual(['a', 'b'])
    set(mesh, cart)
    expect(names(mesh)).toEqual(['a'])
    set(mesh, workload('b', '10.0.0.2', member('shop/cart')))
    expect(names(mesh)).toEqual(['a', 'b'])
  })

  test('follow membership and removal', () => {
    const mesh = meshOf(cart, service('shop', 'other'), workload('a', '10.0.0.1', member('shop/cart')))
    set(mesh, workload('a', '10.0.0.1', member('shop/other')))
    expect(names(mesh)).toEqual([])
    expect(names(mesh, 'shop/other')).toEqual(['a'])
    remove(mesh, 'Kubernetes//Pod/shop/a')
    expect(names(mesh, 'shop/other')).toEqual([])
  })

  test('an answer does not change, and stays the same while nothing does', () => {
    const mesh = meshOf(cart, workload('a', '10.0.0.1', member('shop/cart')))
    const before = mesh.endpointsOf('shop/cart')
    set(mesh, workload('z', '10.0.0.9'))
    expect(mesh.endpointsOf(mesh.serviceByName('shop/cart')!)).toBe(before)
    set(mesh, workload('b', '10.0.0.2', member('shop/cart')))
    expect(before).toHaveLength(1)
    expect(mesh.endpointsOf('shop/cart')).toHaveLength(2)
  })
})

describe('policies', () => {
  const { GLOBAL, NAMESPACE, WORKLOAD_SELECTOR } = security.Scope
  type Init = MessageInitShape<typeof security.AuthorizationSchema>
  const policy = (name: string, scope: security.Scope, namespace = 'shop', init: Init = {}) =>
    [`${namespace}/${name}`, create(security.AuthorizationSchema, { name, namespace, scope, ...init })] as const
  const apply = (mesh: MeshState, ...authorizations: (readonly [string, security.Authorization])[]) =>
    mesh.applyAuthorizations({ authorizations, removed: [] })
  const of = (mesh: MeshState, authorizationPolicies: string[] = [], namespace = 'shop') => {
    const answer = mesh.policiesOf(create(proto.WorkloadSchema, { namespace, authorizationPolicies }))
    return isMissing(answer) ? { missing: answer.names } : answer.map(({ name }) => name)
  }

  test('those for everything, for the namespace, and those that the workload names, once each', () => {
    const mesh = new MeshState()
    const far = policy('far', NAMESPACE, 'other')
    apply(mesh, policy('sel', WORKLOAD_SELECTOR), policy('ns', NAMESPACE), far, policy('all', GLOBAL, 'root'))
    expect(of(mesh)).toEqual(['all', 'ns'])
    expect(of(mesh, ['shop/sel', 'shop/ns', 'other/far'])).toEqual(['all', 'ns', 'sel', 'far'])
    expect(of(mesh, [], 'other')).toEqual(['all', 'far'])
  })

  test('a policy that is named and not there is reported', () => {
    const mesh = new MeshState()
    apply(mesh, policy('sel', WORKLOAD_SELECTOR))
    expect(of(mesh, ['shop/sel', 'shop/late'])).toEqual({ missing: ['shop/late'] })
    apply(mesh, policy('late', WORKLOAD_SELECTOR))
    expect(of(mesh, ['shop/sel', 'shop/late'])).toEqual(['sel', 'late'])
  })

  test('a change of scope and a removal are followed', () => {
    const mesh = new MeshState()
    apply(mesh, policy('p', GLOBAL))
    expect(of(mesh, [], 'other')).toEqual(['p'])
    apply(mesh, policy('p', NAMESPACE))
    expect(of(mesh, [], 'other')).toEqual([])
    expect(of(mesh)).toEqual(['p'])
    mesh.applyAuthorizations({ authorizations: [], removed: ['shop/p'] })
    expect(of(mesh)).toEqual([])
    expect(mesh.sizes.policies).toBe(0)
  })

  test('a policy that cannot be read leaves the version before it in force', () => {
    const mesh = new MeshState()
    apply(mesh, policy('p', NAMESPACE, 'shop', { dryRun: true }))
    const bad = { rules: [{ clauses: [{ matches: [{ principals: [{}] }] }] }] }
    expect(apply(mesh, policy('p', NAMESPACE, 'shop', bad))).toEqual([
      { name: 'shop/p', reason: 'a string match of an unknown kind' },
    ])
    expect(mesh.policyByName('shop/p')?.dryRun).toBe(true)
  })

  test('a new policy that cannot be read denies what it would have judged, until it is repaired', () => {
    const mesh = new MeshState()
    expect(apply(mesh, policy('p', NAMESPACE, 'shop', { action: 9 as security.Action }))).toHaveLength(1)
    const standIn = mesh.policyByName('shop/p')!
    expect([standIn.action, standIn.rules.length, standIn.rules[0]!.clauses.length]).toEqual([
      security.Action.DENY,
      1,
      0,
    ])
    expect(of(mesh)).toEqual(['p'])
    expect(of(mesh, [], 'other')).toEqual([])
    apply(mesh, policy('p', NAMESPACE))
    expect(mesh.policyByName('shop/p')!.action).toBe(security.Action.ALLOW)
  })
})

describe('updates', () => {
  test('what is wrong is reported and not taken; the rest is', () => {
    const mesh = new MeshState()
    const rejected = set(
      mesh,
      ['nothing', create(proto.AddressSchema)],
      workload('uid', '10.0.0.1', { uid: '' }),
      workload('address', '', { addresses: [new Uint8Array(5)] }),
      workload('tunnel', '10.0.0.1', { tunnelProtocol: LEGACY_ISTIO_MTLS }),
      service('shop', ''),
      service('shop', 'length', ['10.0.0.0/33']),
      workload('good', '10.0.0.1'),
    )
    expect(rejected).toHaveLength(6)
    expect(mesh.sizes).toEqual({ workloads: 1, services: 0, policies: 0 })
  })

  test('removal of what was never there', () => {
    const mesh = new MeshState()
    expect(remove(mesh, 'a', 'a/b', '/10.0.0.1', 'Kubernetes//Pod/a/b')).toEqual([])
  })

  test('listeners hear of every update until they leave', () => {
    const mesh = new MeshState()
    const heard: MeshChange[] = []
    const leave = mesh.onChange((change) => heard.push(change))
    set(mesh, workload('a', '10.0.0.1'))
    mesh.applyAuthorizations({ authorizations: [], removed: ['x'] })
    leave()
    remove(mesh, 'Kubernetes//Pod/shop/a')
    expect(heard).toEqual([
      { kind: 'addresses', updated: ['Kubernetes//Pod/shop/a'], removed: [] },
      { kind: 'authorizations', updated: [], removed: ['x'] },
    ])
  })

  test('identity has defaults', () => {
    expect(identityOf(create(proto.WorkloadSchema, { namespace: 'shop' }))).toEqual({
      trustDomain: 'cluster.local',
      namespace: 'shop',
      serviceAccount: 'default',
    })
  })
})
