// What GET /config_dump shows. No keys: certificates are shown by name and what they are for.
import { type JsonValue, toJson } from '@bufbuild/protobuf'
import type { MeshState } from '@wishbone/core/mesh'
import { l7, security, workload } from '@wishbone/proto'
import type { CertificateManager } from '@wishbone/runtime/certificates'
import type { ResourceStore } from '../state/store.ts'
import type { Waypoint } from '../waypoint.ts'

export function configDump(
  store: ResourceStore,
  state: MeshState,
  waypoint: Waypoint | undefined,
  certificates: CertificateManager | undefined,
): JsonValue {
  const { listeners, routes, tcpRoutes } = store.resources
  return {
    listeners: [...listeners.values()].map((listener) => toJson(l7.ListenerSchema, listener)),
    routes: [...routes.values()].map((route) => toJson(l7.RouteSchema, route)),
    tcpRoutes: [...tcpRoutes.values()].map((route) => toJson(l7.TcpRouteSchema, route)),
    problems: store.table.problems.map(({ resource, reason }) => ({ resource, reason })),
    gatewayCertificates: [...store.certificates.values()].map(({ name, chainPem }) => ({ name, chainPem })),
    workloads: [...state.workloads()].map((one) => toJson(workload.WorkloadSchema, one)),
    services: [...state.services()].map((one) => toJson(workload.ServiceSchema, one)),
    policies: [...state.policies()].map(([, policy]) => toJson(security.AuthorizationSchema, policy)),
    certificates: JSON.parse(JSON.stringify(certificates?.dump() ?? [])),
    tunnels: JSON.parse(JSON.stringify(waypoint?.tunnels() ?? [])),
  }
}
