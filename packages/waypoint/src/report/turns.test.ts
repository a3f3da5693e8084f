import { createMetrics } from '@wishbone/runtime/metrics'
import { expect, test } from 'vitest'
import { createTurnMetrics } from './turns.ts'

test('the longest turn is that since the last reading, and all are counted', async () => {
  const metrics = createMetrics({ process: false })
  const onTurn = createTurnMetrics(metrics)
  onTurn({ wallMs: 30, cpuMs: 4 })
  onTurn({ wallMs: 3, cpuMs: 2 })
  const first = await metrics.text()
  expect(first).toContain('wishbone_configuration_turn_longest_seconds{clock="wall"} 0.03\n')
  expect(first).toContain('wishbone_configuration_turn_longest_seconds{clock="cpu"} 0.004\n')
  onTurn({ wallMs: 1, cpuMs: 1 })
  const second = await metrics.text()
  expect(second).toContain('wishbone_configuration_turn_longest_seconds{clock="wall"} 0.001\n')
  expect(second).toContain('wishbone_configuration_turn_seconds_bucket{le="0.005",clock="wall"} 2\n')
  expect(second).toContain('wishbone_configuration_turn_seconds_count{clock="cpu"} 3\n')
})
