// Results and other small words that every package uses.

export { stableHash, stableJson } from './hash.ts'
export { assertNever, err, ok, type Result } from './result.ts'
