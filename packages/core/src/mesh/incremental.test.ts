// Whatever the order in which resources come, change, leave and come back: the state answers as one that got the last of each at once.
import { create } from '@bufbuild/protobuf'
import { workload as proto, security } from '@wishbone/proto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseIp } from '../ip/index.ts'
import { type Address, type Authorization, MeshState } from './index.ts'

const uids = ['Kubernetes//Pod/shop/a', 'Kubernetes//Pod/cart/b', 'Kubernetes/x/y/shop/c', 'Kubernetes//Pod/shop/d']
const serviceNames = ['shop/web', 'shop/cart', 'cart/web']
const policyNames = ['shop/p', 'cart/p', 'root/g']
const ips = ['10.0.0.1', '10.0.0.2', '::ffff:10.0.0.1', 'fd00::1']

const workload = fc
  .record({
    uid: fc.constantFrom(...uids),
    name: fc.constantFrom('a', 'b'),
    namespace: fc.constantFrom('shop', 'cart'),
    network: fc.constantFrom('', 'far'),
    addresses: fc.subarray(ips),
    services: fc.subarray(serviceNames),
    unhealthy: fc.boolean(),
    host: fc.boolean(),
    tunnelProtocol: fc.constantFrom(proto.TunnelProtocol.NONE, proto.TunnelProtocol.HBONE),
    authorizationPolicies: fc.subarray(policyNames),
  })
  .map(({ addresses, services, unhealthy, host, ...rest }): readonly [string, Address] => [
    rest.uid,
    create(proto.AddressSchema, {
      type: {
        case: 'workload',
        value: {
          ...rest,
          addresses: addresses.map((text) => parseIp(text)!),
          services: Object.fromEntries(
            services.map((name) => [name, { ports: [{ servicePort: 80, targetPort: 8080 }] }]),
          ),
          status: unhealthy ? proto.WorkloadStatus.UNHEALTHY : proto.WorkloadStatus.HEALTHY,
          networkMode: host ? proto.NetworkMode.HOST_NETWORK : proto.NetworkMode.STANDARD,
        },
      },
    }),
  ])
const service = fc
  .record({
    name: fc.constantFrom(...serviceNames),
    vips: fc.subarray([
      '10.0.0.1',
      '10.9.0.1',
      '10.9.0.0/16',
      '10.9.0.1/8',
      '0.0.0.0/0',
      '::ffff:10.9.0.1/112',
      'fd00::/8',
    ]),
    all: fc.boolean(),
    canonical: fc.boolean(),
    visibility: fc.constantFrom(proto.Visibility.PUBLIC, proto.Visibility.NAMESPACE),
  })
  .map(({ name, vips, all, ...rest }): readonly [string, Address] => {
    const [namespace, hostname] = name.split('/') as [string, string]
    const addresses = vips.map((vip) => {
      const [text, length] = vip.split('/')
      return { address: parseIp(text!)!, ...(length === undefined ? {} : { length: Number(length) }) }
    })
    const healthPolicy = all
      ? proto.LoadBalancing_HealthPolicy.ALLOW_ALL
      : proto.LoadBalancing_HealthPolicy.ONLY_HEALTHY
    const value = { namespace, hostname, addresses, loadBalancing: { healthPolicy }, ...rest }
    return [name, create(proto.AddressSchema, { type: { case: 'service', value } })]
  })
const policy = fc
  .record({
    name: fc.constantFrom(...policyNames),
    scope: fc.constantFrom(security.Scope.GLOBAL, security.Scope.NAMESPACE, security.Scope.WORKLOAD_SELECTOR),
    action: fc.constantFrom(security.Action.ALLOW, security.Action.DENY),
  })
  .map(({ name, ...rest }): readonly [string, Authorization] => {
    const [namespace, own] = name.split('/') as [string, string]
    return [name, create(security.AuthorizationSchema, { name: own, namespace, ...rest })]
  })
const step = fc.record({
  addresses: fc.array(fc.oneof(workload, service), { maxLength: 3 }),
  gone: fc.subarray([...uids, ...serviceNames], { maxLength: 3 }),
  policies: fc.array(policy, { maxLength: 2 }),
  gonePolicies: fc.subarray(policyNames, { maxLength: 2 }),
})

/** All that can be asked. */
function seen(state: MeshState): unknown {
  const service = (found: { readonly namespace: string; readonly hostname: string } | undefined) =>
    found && `${found.namespace}/${found.hostname}`
  const asked = ['', 'far'].flatMap((network) =>
    ['10.0.0.1', '10.0.0.2', '10.9.0.1', '10.9.5.5', '172.0.0.1', 'fd00::1'].map((ip) => [network, ip] as const),
  )
  return {
    sizes: state.sizes,
    workloads: uids.map((uid) => state.workloadByUid(uid)),
    byAddress: asked.map(([network, ip]) => state.workloadByAddress(network, ip)?.uid),
    byName: ['shop', 'cart'].flatMap((namespace) =>
      ['a', 'b'].map((name) =>
        state
          .workloadsByName(namespace, name)
          .map(({ uid }) => uid)
          .sort(),
      ),
    ),
    services: serviceNames.map((name) => state.serviceByName(name)),
    byHostname: ['web', 'cart'].map((name) => state.servicesByHostname(name).map(service)),
    byVip: asked.map(([network, ip]) => state.servicesByAddress(network, ip).map(service)),
    meant: asked.flatMap(([network, ip]) =>
      [undefined, 'shop', 'cart'].map((namespace) => service(state.serviceByAddress(network, ip, namespace))),
    ),
    endpoints: serviceNames.map((name) =>
      state
        .endpointsOf(name)
        .map((one) => [one.workload, [...one.ports]])
        .sort(byUid),
    ),
    members: serviceNames.map((name) => uids.map((uid) => state.endpointOf(name, uid)?.workload)),
    staged: [...state.stagedServices()].sort(),
    policies: uids.map((uid) => {
      const found = state.workloadByUid(uid)
      return found && state.policiesOf(found)
    }),
  }
}

function byUid(a: unknown, b: unknown): number {
  const uid = (one: unknown) => (one as readonly [{ readonly uid: string }])[0].uid
  return uid(a) < uid(b) ? -1 : 1
}

test('a state that is kept up with changes answers as one that is made at once', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 10 }), (steps) => {
      const state = new MeshState()
      // Of several claims to one address the newest counts, so a new state hears of them in that order.
      const addresses = new Map<string, Address>()
      const policies = new Map<string, Authorization>()
      for (const { addresses: come, gone, policies: comePolicies, gonePolicies } of steps) {
        expect(state.apply({ addresses: come, removed: gone })).toEqual([])
        expect(state.applyAuthorizations({ authorizations: comePolicies, removed: gonePolicies })).toEqual([])
        // Answers that are remembered must not outlive what they say.
        seen(state)
        for (const name of gone) addresses.delete(name)
        for (const name of gonePolicies) policies.delete(name)
        for (const [name, address] of come) {
          addresses.delete(name)
          addresses.set(name, address)
        }
        for (const [name, one] of comePolicies) policies.set(name, one)
      }
      const fresh = new MeshState()
      fresh.applyAuthorizations({ authorizations: [...policies], removed: [] })
      fresh.apply({ addresses: [...addresses], removed: [] })
      expect(seen(state)).toEqual(seen(fresh))
    }),
    { numRuns: 500 },
  )
})
