// The types between the pure half of the controller and its IO half.
export type * from './mesh.ts'
export type * from './outcome.ts'
export type * from './resources.ts'
export { defaultSettings, type Settings } from './settings.ts'
export { emptySnapshot, type Obstacle, type Snapshot } from './snapshot.ts'
