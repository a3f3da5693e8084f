import { createMetrics, type Sample } from '@wishbone/runtime/metrics'
import { expect, test } from 'vitest'
import type { RequestRecord } from '../pipeline/record.ts'
import { createHttpMetrics } from './metrics.ts'

test('a series that gave its place to another is counted again when its requests come', async () => {
  const metrics = createMetrics({ process: false })
  const { record } = createHttpMetrics(metrics, () => 'source')
  const connections = Array.from({ length: 5_001 }, (_, i) => ({ baggage: { workloadName: `client-${i}` } }))
  const from = (connection: object | undefined) =>
    record({ context: { connection, head: { isGrpc: false } }, status: 200 } as unknown as RequestRecord)
  for (const connection of connections) from(connection)
  from(connections[0])
  expect(await metrics.text()).toMatch(/^istio_requests_total\{.*source_workload="client-0"/m)
})

test('a series that is in use keeps its place, whatever clients say of themselves', async () => {
  const metrics = createMetrics({ process: false })
  const { record } = createHttpMetrics(metrics, () => 'source')
  const from = (workloadName: string) =>
    record({
      context: { connection: { baggage: { workloadName } }, head: { isGrpc: false } },
      status: 200,
    } as unknown as RequestRecord)
  for (let i = 0; i < 12_000; i++) {
    from(`client-${i}`)
    if (i % 1_000 === 0) from('shop')
  }
  const { values } = await metrics.registry.getSingleMetric('istio_requests_total')!.get()
  const shop = (values as unknown as Sample[]).find(({ sharedLabels }) => sharedLabels?.['source_workload'] === 'shop')
  expect(shop?.value).toBe(12)
})

test('the text of many series is made in many turns of the event loop', async () => {
  const metrics = createMetrics({ process: false })
  const { record } = createHttpMetrics(metrics, () => 'source')
  for (let i = 0; i < 100; i++) {
    const context = { connection: { baggage: { workloadName: `client-${i}` } }, head: { isGrpc: false } }
    record({ context, status: 200 } as unknown as RequestRecord)
  }
  let turns = 0
  const count = () => {
    turns++
    turning = setImmediate(count)
  }
  let turning = setImmediate(count)
  const text = await metrics.text()
  clearImmediate(turning)
  expect(text.match(/^istio_request_bytes_bucket\{reporter="source",.*,le="\+Inf"\} 1$/gm)).toHaveLength(100)
  expect(turns).toBeGreaterThan(10)
})
