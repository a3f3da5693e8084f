// The waypoint as a library, for tests and benchmarks; main.ts is the program.

export type { RequestContext } from './pipeline/context.ts'
export { applyStaticConfig, parseStaticConfig } from './program/static-config.ts'
export { ResourceStore } from './state/store.ts'
export { Waypoint, type WaypointOptions } from './waypoint.ts'
