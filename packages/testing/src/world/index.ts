// The real programs on one machine, for tests.

export * from './mesh.ts'
export * from './objects.ts'
export * from './peer.ts'
export * from './world.ts'
