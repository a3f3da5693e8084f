// The whole translation, from the cluster's objects to what proxies and the Kubernetes API get.
import type { Settings, Snapshot, Translation } from '../model/index.ts'

/** Pure and independent of the order of the input: see ARCHITECTURE.md. */
export function translate(_snapshot: Snapshot, _settings: Settings): Translation {
  const empty = new Map<never, never>()
  return {
    mesh: {
      workloads: empty,
      services: empty,
      authorizations: empty,
      waypointAuthorizations: empty,
      listeners: empty,
      routes: empty,
      tcpRoutes: empty,
      certificates: empty,
      scopes: empty,
    },
    infra: [],
    statuses: [],
  }
}
