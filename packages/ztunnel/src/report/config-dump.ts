// What `istioctl ztunnel-config` reads (ambient wire §4.7). The shape is Istio's; nothing secret is in it.
import { formatIp } from '@wishbone/core/ip'
import type { MeshState, Service, Workload } from '@wishbone/core/mesh'
import { workload as proto, security } from '@wishbone/proto'
import type { CertificateState } from '@wishbone/runtime/certificates'
import type { Connection } from './connection.ts'
import { dumpCertificate } from './dump-certificate.ts'

export interface DumpedPod {
  readonly uid: string
  readonly state: string
  readonly info: { readonly name: string; readonly namespace: string; readonly serviceAccount: string }
  readonly connections: Iterable<Connection>
}

export interface DumpInputs {
  readonly state: MeshState
  readonly certificates: readonly CertificateState[]
  readonly pods: Iterable<DumpedPod>
  readonly config: Readonly<Record<string, unknown>>
  readonly trustDomain: string
}

/** The dump as plain data, ready for JSON. */
export function configDump({ state, certificates, pods, config, trustDomain }: DumpInputs): Record<string, unknown> {
  return {
    workloads: [...state.workloads()].map(workloadOf),
    services: [...state.services()].map((service) => serviceOf(state, service)),
    policies: [...state.policies()].map(([, policy]) => policyOf(policy)),
    stagedServices: state.stagedServices(),
    certificates: certificates.map(dumpCertificate),
    config,
    version: { version: 'wishbone', buildStatus: 'Clean' },
    workloadState: Object.fromEntries(
      [...pods].map((pod) => [
        pod.uid,
        {
          state: stateNames[pod.state] ?? pod.state,
          connections: connectionsOf(pod.connections),
          info: { ...pod.info, trustDomain },
        },
      ]),
    ),
  }
}

const stateNames: Readonly<Record<string, string>> = {
  starting: 'Pending',
  serving: 'Up',
  draining: 'Draining',
  closed: 'Draining',
}
const workloadTypes = ['deployment', 'cronjob', 'pod', 'job']

function workloadOf(workload: Workload): Record<string, unknown> {
  return {
    workloadIps: workload.addresses.map(formatIp),
    hostname: workload.hostname,
    ...gateway('waypoint', workload.waypoint),
    ...gateway('networkGateway', workload.networkGateway),
    protocol: workload.tunnelProtocol === proto.TunnelProtocol.HBONE ? 'HBONE' : 'TCP',
    network: workload.network,
    uid: workload.uid,
    name: workload.name,
    namespace: workload.namespace,
    trustDomain: workload.trustDomain || 'cluster.local',
    serviceAccount: workload.serviceAccount || 'default',
    workloadName: workload.workloadName,
    workloadType: workloadTypes[workload.workloadType] ?? 'pod',
    canonicalName: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    node: workload.node,
    status: workload.status === proto.WorkloadStatus.HEALTHY ? 'Healthy' : 'Unhealthy',
    clusterId: workload.clusterId || 'Kubernetes',
    locality:
      workload.locality === undefined
        ? {}
        : { region: workload.locality.region, zone: workload.locality.zone, subzone: workload.locality.subzone },
    services: Object.keys(workload.services),
    authorizationPolicies: workload.authorizationPolicies,
    nativeTunnel: workload.nativeTunnel,
    capacity: workload.capacity ?? 1,
  }
}

function serviceOf(state: MeshState, service: Service): Record<string, unknown> {
  const endpoints = state.endpointsOf(service).map((endpoint) => [
    endpoint.workload.uid,
    {
      workloadUid: endpoint.workload.uid,
      service: `${service.namespace}/${service.hostname}`,
      port: Object.fromEntries(endpoint.ports),
      status: endpoint.workload.status === proto.WorkloadStatus.HEALTHY ? 'Healthy' : 'Unhealthy',
    },
  ])
  return {
    name: service.name,
    namespace: service.namespace,
    hostname: service.hostname,
    vips: service.addresses.map(
      (one) => `${one.network}/${formatIp(one.address)}${one.length === undefined ? '' : `/${one.length}`}`,
    ),
    ports: Object.fromEntries(service.ports.map((port) => [port.servicePort, port.targetPort])),
    endpoints: Object.fromEntries(endpoints),
    subjectAltNames: service.subjectAltNames,
    ...gateway('waypoint', service.waypoint),
    ipFamilies: nameIn(proto.IPFamilies, service.ipFamilies, 'AUTOMATIC'),
    ...(service.loadBalancing === undefined ? {} : { loadBalancer: balancingOf(service.loadBalancing) }),
  }
}

function balancingOf({ mode, routingPreference, healthPolicy }: proto.LoadBalancing): Record<string, unknown> {
  return {
    mode: spoken(nameIn(proto.LoadBalancing_Mode, mode, 'UNSPECIFIED_MODE')),
    routingPreferences: routingPreference.map((scope) =>
      spoken(nameIn(proto.LoadBalancing_Scope, scope, 'UNSPECIFIED_SCOPE')),
    ),
    healthPolicy: spoken(nameIn(proto.LoadBalancing_HealthPolicy, healthPolicy, 'ONLY_HEALTHY')),
  }
}

/** "ONLY_HEALTHY" as "OnlyHealthy". */
function spoken(name: string): string {
  return name.replace(/([A-Z])([A-Z]*)_?/g, (_, first: string, rest: string) => first + rest.toLowerCase())
}

function gateway(key: string, address: proto.GatewayAddress | undefined): Record<string, unknown> {
  if (address === undefined) return {}
  const { destination, hboneMtlsPort: port } = address
  switch (destination.case) {
    case 'hostname':
      return { [key]: { destination: `${destination.value.namespace}/${destination.value.hostname}`, port } }
    case 'address':
      return { [key]: { destination: `${destination.value.network}/${formatIp(destination.value.address)}`, port } }
    default:
      return {}
  }
}

function policyOf(policy: security.Authorization): Record<string, unknown> {
  return {
    name: policy.name,
    namespace: policy.namespace,
    scope: { GLOBAL: 'Global', NAMESPACE: 'Namespace', WORKLOAD_SELECTOR: 'WorkloadSelector' }[
      nameIn(security.Scope, policy.scope, 'GLOBAL')
    ],
    action: policy.action === security.Action.ALLOW ? 'Allow' : 'Deny',
    dryRun: policy.dryRun,
    rules: policy.rules.map((rule) => rule.clauses.map((clause) => clause.matches.map(matchOf))),
  }
}

function matchOf(match: security.Match): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(match)) {
    if (key.startsWith('$') || key === 'extensions' || !Array.isArray(value) || value.length === 0) continue
    result[key] = value.map((one: unknown) => plain(one))
  }
  return result
}

function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if ('matchType' in value) {
    const { matchType } = value as security.StringMatch
    if (matchType.case === undefined) return {}
    return {
      [matchType.case[0]!.toUpperCase() + matchType.case.slice(1)]:
        matchType.case === 'presence' ? {} : matchType.value,
    }
  }
  if ('address' in value) {
    const { address, length } = value as security.Address
    return `${formatIp(address)}/${length}`
  }
  const { namespace, serviceAccount } = value as security.ServiceAccountMatch
  return { namespace, serviceAccount }
}

function connectionsOf(connections: Iterable<Connection>): Record<string, unknown> {
  const inbound: Record<string, unknown>[] = []
  const outbound: Record<string, unknown>[] = []
  for (const { ends } of connections) {
    const { source, destination } = ends
    const { hboneAddress } = destination
    const protocol = hboneAddress === undefined ? 'TCP' : 'HBONE'
    const entry = { src: source.address, originalDst: ends.originalDestination, protocol }
    if (ends.direction === 'outbound') outbound.push({ ...entry, actualDst: destination.address })
    else inbound.push({ ...entry, actualDst: applicationOf(destination.address, hboneAddress) })
  }
  return { inbound, outbound }
}

/** The pod's address with the port of the application, instead of the tunnel's. */
function applicationOf(local: string, authority: string | undefined): string {
  if (authority === undefined) return local
  return local.slice(0, local.lastIndexOf(':')) + authority.slice(authority.lastIndexOf(':'))
}

function nameIn<T extends string>(names: Readonly<Record<T, number>>, value: number, fallback: T): T {
  return (Object.keys(names) as T[]).find((name) => names[name] === value) ?? fallback
}
