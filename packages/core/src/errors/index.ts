// The closed set of reasons for which a connection or request fails, and what each means on every surface.
export { MeshError, type MeshErrorAt, type MeshErrorOptions, type MeshErrorRetry } from './error.ts'
export { type ErrorEntry, errorTable, type MeshErrorCode, meshErrorCodes } from './table.ts'
