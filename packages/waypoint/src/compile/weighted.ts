// The backends of a rule, each with its weight and filters.
import type { l7 } from '@wishbone/proto'
import { compileBackend } from './backend.ts'
import { compileFilters } from './filters.ts'
import type { Backend } from './types.ts'

export function compileWeighted(backends: readonly l7.WeightedBackend[]): readonly Backend[] {
  return backends.map(({ backend, weight, filters }) =>
    compileBackend(backend, weight, filters.length === 0 ? null : compileFilters(filters)),
  )
}
