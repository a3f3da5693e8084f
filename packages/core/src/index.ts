// The vocabulary that most code needs, in one import; programs mostly import the folder they need. h2 and the folders of
// the L7 proxy (matching, filters, retry, picker) are imported by name only.
export * from './authorization/index.ts'
export * from './balancing/index.ts'
export * from './errors/index.ts'
export * from './hbone/index.ts'
export * from './identity/index.ts'
export * from './ip/index.ts'
export * from './mesh/index.ts'
export * from './names/index.ts'
export * from './result/index.ts'
export * from './xds/index.ts'
