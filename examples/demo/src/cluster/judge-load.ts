// What the scenes under load promise: nothing that was asked meanwhile failed.
import type { LoadResult } from '@wishbone/testing/cluster'
import type { Stage } from '../scene.ts'

function failures(results: readonly LoadResult[]): string {
  return results
    .flatMap((result) => Object.entries(result.counts))
    .filter(([, count]) => count.ok < count.asked)
    .map(([kind, count]) => `${kind} ${count.ok}/${count.asked}: ${count.reasons.slice(0, 2).join('; ')}`)
    .join(', ')
}

export function judgeLoad(check: Stage['check'], results: readonly LoadResult[]): void {
  const asked = results.flatMap((result) => Object.values(result.counts)).reduce((sum, count) => sum + count.asked, 0)
  const failed = results.reduce((sum, result) => sum + result.failed, 0)
  check(`none of ${asked} requests and messages failed meanwhile`, failed === 0, failures(results) || 'all answered')
}
