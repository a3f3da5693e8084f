import { createMetrics } from '@wishbone/runtime/metrics'
import { expect, test } from 'vitest'
import type { RequestRecord } from '../pipeline/record.ts'
import { createHttpMetrics } from './metrics.ts'

test('a series that gave its place to another is counted again when its requests come', async () => {
  const metrics = createMetrics({ process: false })
  const { record } = createHttpMetrics(metrics, () => 'source')
  const connections = Array.from({ length: 20_001 }, (_, i) => ({ baggage: { workloadName: `client-${i}` } }))
  const from = (connection: object | undefined) =>
    record({ context: { connection, head: { isGrpc: false } }, status: 200 } as unknown as RequestRecord)
  for (const connection of connections) from(connection)
  from(connections[0])
  const { values } = await metrics.registry.getSingleMetric('istio_requests_total')!.get()
  expect(values.some(({ labels }) => labels['source_workload' as never] === ('client-0' as never))).toBe(true)
})
