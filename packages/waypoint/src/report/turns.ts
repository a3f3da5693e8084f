// What taking in configuration costs: requests that arrive meanwhile wait at least for the turn that is under way.
import type { TurnCost } from '@wishbone/runtime/lifecycle'
import type { Metrics } from '@wishbone/runtime/metrics'

const clocks = ['wall', 'cpu'] as const
const buckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5]

/**
 * Registers the metrics. `wall` is what a request feels; `cpu` leaves out what other processes took of the processor meanwhile, and is
 * exact to the kernel's tick only, of up to 4 ms.
 */
export function createTurnMetrics(metrics: Metrics): (cost: TurnCost) => void {
  const longest = { wall: 0, cpu: 0 }
  metrics.gauge(
    'wishbone_configuration_turn_longest_seconds',
    'The longest turn of the event loop spent on configuration since this was last read, by clock: wall, or cpu without other processes.',
    ['clock'],
    (gauge) => {
      for (const clock of clocks) {
        gauge.labels({ clock }).set(longest[clock])
        longest[clock] = 0
      }
    },
  )
  const turns = metrics.histogram(
    'wishbone_configuration_turn_seconds',
    'Turns of the event loop spent on decoding and compiling configuration, by clock: wall, or cpu without other processes.',
    ['clock'],
    { buckets },
  )
  const handles = { wall: turns.labels({ clock: 'wall' }), cpu: turns.labels({ clock: 'cpu' }) }
  return ({ wallMs, cpuMs }) => {
    for (const [clock, ms] of [
      ['wall', wallMs],
      ['cpu', cpuMs],
    ] as const) {
      handles[clock].observe(ms / 1_000)
      longest[clock] = Math.max(longest[clock], ms / 1_000)
    }
  }
}
