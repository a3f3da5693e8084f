// Which route a request belongs to: matches, their order of precedence, and tables of them by hostname.
export { compareEntries, type Entry, type Precedence } from './entry.ts'
export type { HostTable, RequestHead } from './group.ts'
export { buildHostTable, findEntry, firstEntry, isHostname, matchesHostname } from './host.ts'
export { compilePath, matchesPath, type PathMatch, type PathSpec } from './path.ts'
export { compilePattern, type Pattern } from './pattern.ts'
export { parseQuery } from './query.ts'
export { HostTableDraft } from './table-draft.ts'
export { compileValues, type NamedMatch, type ValueSpec } from './value.ts'
