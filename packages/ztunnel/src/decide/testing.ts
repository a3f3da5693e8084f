// Builders of the decision tests. Not part of the program.
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { parseIp } from '@wishbone/core/ip'
import { MeshState, type Service, type Workload } from '@wishbone/core/mesh'
import { workload as proto, security } from '@wishbone/proto'

export const bytes = (ip: string): Uint8Array => parseIp(ip)!

export function workloadOf(
  name: string,
  ip: string,
  more: MessageInitShape<typeof proto.WorkloadSchema> = {},
): Workload {
  return create(proto.WorkloadSchema, {
    uid: `Kubernetes//Pod/shop/${name}`,
    name,
    namespace: 'shop',
    serviceAccount: name,
    workloadName: name,
    canonicalName: name,
    canonicalRevision: 'latest',
    addresses: ip === '' ? [] : [bytes(ip)],
    tunnelProtocol: proto.TunnelProtocol.HBONE,
    ...more,
  })
}

export function memberOf(hostname: string, servicePort: number, targetPort: number): { [key: string]: proto.PortList } {
  return { [`shop/${hostname}`]: create(proto.PortListSchema, { ports: [{ servicePort, targetPort }] }) }
}

export function serviceOf(name: string, ip: string, more: MessageInitShape<typeof proto.ServiceSchema> = {}): Service {
  return create(proto.ServiceSchema, {
    name,
    namespace: 'shop',
    hostname: `${name}.shop.svc.cluster.local`,
    addresses: ip === '' ? [] : [{ network: '', address: bytes(ip) }],
    ports: [{ servicePort: 80, targetPort: 8080 }],
    canonical: true,
    ...more,
  })
}

export function waypointAt(hostname: string): proto.GatewayAddress {
  return create(proto.GatewayAddressSchema, {
    destination: { case: 'hostname', value: { namespace: 'shop', hostname } },
    hboneMtlsPort: 15008,
  })
}

export function policyOf(
  name: string,
  more: MessageInitShape<typeof security.AuthorizationSchema>,
): security.Authorization {
  return create(security.AuthorizationSchema, { name, namespace: 'shop', scope: security.Scope.NAMESPACE, ...more })
}

export interface Contents {
  readonly workloads?: readonly Workload[]
  readonly services?: readonly Service[]
  readonly policies?: readonly security.Authorization[]
}

/** Adds workloads and services to a state, as the controller would. */
export function applyTo(state: MeshState, { workloads = [], services = [] }: Contents): void {
  const rejected = state.apply({
    addresses: [
      ...services.map(
        (value) =>
          [
            `${value.namespace}/${value.hostname}`,
            create(proto.AddressSchema, { type: { case: 'service', value } }),
          ] as const,
      ),
      ...workloads.map(
        (value) => [value.uid, create(proto.AddressSchema, { type: { case: 'workload', value } })] as const,
      ),
    ],
    removed: [],
  })
  if (rejected.length > 0) throw new Error(JSON.stringify(rejected))
}

export function stateOf(contents: Contents): MeshState {
  const state = new MeshState()
  applyTo(state, contents)
  state.applyAuthorizations({
    authorizations: (contents.policies ?? []).map((policy) => [`${policy.namespace}/${policy.name}`, policy] as const),
    removed: [],
  })
  return state
}
