// Statuses, from wanted values to the API.
export { mergeStatus } from './merge.ts'
export { fieldManager, StatusWriter, type WriteResult } from './writer.ts'
