import { expect, test, vi } from 'vitest'
import { giveWay } from './precedence.ts'

vi.mock('@wishbone/runtime/os', () => ({ steerReusePort: () => true }))

test('a clock that is set forward does not make a socket close before what came to it is accepted', async () => {
  let timeMs = 0
  vi.spyOn(Date, 'now').mockImplementation(() => (timeMs += 3_600_000))
  const arrivals = { count: 0 }
  const coming = setInterval(() => arrivals.count++, 20)
  let isOver = false
  const over = giveWay(7, arrivals).then(() => {
    isOver = true
  })
  await new Promise((resolve) => setTimeout(resolve, 400))
  expect(isOver).toBe(false)
  clearInterval(coming)
  await over
  vi.restoreAllMocks()
})
