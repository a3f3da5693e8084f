// The waypoint as a library, for tests and benchmarks; main.ts is the program.
export { parseStaticConfig, applyStaticConfig } from './program/static-config.ts'
export { ResourceStore } from './state/store.ts'
export { Waypoint, type WaypointOptions } from './waypoint.ts'
export type { RequestContext } from './pipeline/context.ts'
