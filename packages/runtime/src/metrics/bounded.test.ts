import { expect, test } from 'vitest'
import { createMetrics } from './index.ts'

test('series of ever new labels do not fill the memory; a handle that is still in use counts on', async () => {
  const metrics = createMetrics({ process: false })
  const counter = metrics.counter('connections', 'Connections.', ['source'])
  const first = counter.labels({ source: 'job-0' })
  first.inc()
  for (let i = 1; i <= 6_000; i++) counter.labels({ source: `job-${i}` }).inc()
  first.inc(3)
  const text = await metrics.text()
  expect(text.match(/^connections\{/gm)).toHaveLength(5_000)
  expect(text).toContain('connections{source="job-0"} 3\n')
  expect(text).toContain('connections{source="job-6000"} 1\n')
  expect(text).toContain('wishbone_metric_series_dropped_total{metric="connections"} 1002\n')
})

test('a series that is in use keeps its place, whatever else comes and goes', async () => {
  const metrics = createMetrics({ process: false })
  const counter = metrics.counter('connections', 'Connections.', ['source'])
  for (let i = 0; i < 12_000; i++) {
    counter.labels({ source: `job-${i}` }).inc()
    if (i % 1_000 === 0) counter.labels({ source: 'shop' }).inc()
  }
  expect(await metrics.text()).toContain('connections{source="shop"} 12\n')
})

test('label values, help and numbers are written as Prometheus reads them', async () => {
  const metrics = createMetrics({ process: false })
  metrics.counter('a', 'One\nline \\', ['x', 'y']).labels({ x: '"\\\n', y: '' }).inc(0.5)
  metrics.gauge('b', 'B.').set(Number.POSITIVE_INFINITY)
  expect(await metrics.text()).toBe(
    '# HELP a One\\nline \\\\\n# TYPE a counter\na{x="\\"\\\\\\n",y=""} 0.5\n\n# HELP b B.\n# TYPE b gauge\nb +Inf\n\n',
  )
})
