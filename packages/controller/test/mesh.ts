// Meshes for tests, written by hand instead of translated.
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { l7, workload } from '@wishbone/proto'
import type { Mesh, Scope } from '../src/model/index.ts'

/** A mesh with these workloads by uid, and a gateway `<namespace>/<name>` with one listener of its own name for each name. */
export function emptyMesh(parts: {
  readonly workloads: Readonly<Record<string, MessageInitShape<typeof workload.WorkloadSchema>>>
  readonly listeners: readonly string[]
}): Mesh {
  const none = new Map<never, never>()
  const scopes = new Map<string, Scope>()
  for (const key of parts.listeners) {
    const [namespace, gateway] = key.split('/') as [string, string]
    const nothing = new Set<string>()
    const names = {
      workloads: nothing,
      services: nothing,
      authorizations: nothing,
      routes: nothing,
      tcpRoutes: nothing,
      udpRoutes: nothing,
      certificates: nothing,
    }
    scopes.set(key, { namespace, gateway, serviceAccount: gateway, listeners: new Set([key]), ...names })
  }
  return {
    workloads: new Map(
      Object.entries(parts.workloads).map(([uid, one]) => [uid, create(workload.WorkloadSchema, one)]),
    ),
    services: none,
    authorizations: none,
    waypointAuthorizations: none,
    requestPolicies: none,
    listeners: new Map(parts.listeners.map((name) => [name, create(l7.ListenerSchema, { name })])),
    routes: none,
    tcpRoutes: none,
    udpRoutes: none,
    certificates: none,
    scopes,
  }
}
