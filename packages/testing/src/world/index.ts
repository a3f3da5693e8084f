// The real programs on one machine, for tests.
export * from './world.ts'
