// The types on the configuration stream, each tied to where its resources go.

import type { DescMessage, MessageShape } from '@bufbuild/protobuf'
import { fromBinary } from '@bufbuild/protobuf'
import { validateRequestPolicy } from '@wishbone/core/authorization'
import type { MeshState } from '@wishbone/core/mesh'
import { l7, security, typeUrls, workload } from '@wishbone/proto'
import { type AdsType, adsType, type DecodedResource, type RejectedResource } from '@wishbone/runtime/xds'
import type { ResourceStore } from '../state/store.ts'

/** Of those that are compiled: a table with them may take several turns of the event loop. */
const compiled = new Set<string>([typeUrls.route, typeUrls.tcpRoute, typeUrls.udpRoute, typeUrls.listener])

/** Policies before addresses, addresses before what routes to them: nothing is served that is not yet guarded. */
export function subscriptions(store: ResourceStore, state: MeshState): readonly AdsType[] {
  const pairs = <T>(resources: readonly DecodedResource<T>[]) =>
    resources.map(({ name, value }) => [name, value] as const)
  const wildcard = <D extends DescMessage>(typeUrl: string, schema: D, apply: Apply<MessageShape<D>>): AdsType =>
    adsType({
      typeUrl,
      mode: 'wildcard',
      decode: (bytes) => fromBinary(schema, bytes),
      apply,
      ...(compiled.has(typeUrl) && { inForce: () => store.settled }),
    })
  return [
    wildcard(typeUrls.requestPolicy, l7.RequestPolicySchema, (resources, removed) => {
      // The Authorization of the name stays in force for one that can't be judged.
      const refused = resources.flatMap(({ name, value }) => {
        const reason = validateRequestPolicy(value)
        return reason === undefined ? [] : [{ name, reason }]
      })
      const unsound = new Set(refused.map(({ name }) => name))
      const sound = resources.filter(({ name }) => !unsound.has(name))
      store.apply('requestPolicies', pairs(sound), [...removed, ...unsound])
      return refused
    }),
    wildcard(typeUrls.authorization, security.AuthorizationSchema, (resources, removed) =>
      state.applyAuthorizations({ authorizations: pairs(resources), removed }),
    ),
    wildcard(typeUrls.address, workload.AddressSchema, (resources, removed) =>
      state.apply({ addresses: pairs(resources), removed }),
    ),
    wildcard(typeUrls.certificate, l7.CertificateSchema, (resources, removed) => {
      store.apply('certificates', pairs(resources), removed)
      return []
    }),
    wildcard(typeUrls.route, l7.RouteSchema, (resources, removed) => {
      store.apply('routes', pairs(resources), removed)
      return []
    }),
    wildcard(typeUrls.tcpRoute, l7.TcpRouteSchema, (resources, removed) => {
      store.apply('tcpRoutes', pairs(resources), removed)
      return []
    }),
    wildcard(typeUrls.udpRoute, l7.UdpRouteSchema, (resources, removed) => {
      store.apply('udpRoutes', pairs(resources), removed)
      return []
    }),
    wildcard(typeUrls.listener, l7.ListenerSchema, (resources, removed) => {
      store.apply('listeners', pairs(resources), removed)
      return []
    }),
  ]
}

type Apply<T> = (resources: readonly DecodedResource<T>[], removed: readonly string[]) => readonly RejectedResource[]
