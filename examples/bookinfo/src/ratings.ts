// Stars for the reviews. `FLAKY=n` makes every n-th answer a 503, `SLOW_MS` delays each, for the demo's scenes.
import { setTimeout as delay } from 'node:timers/promises'
import { json, serve } from './service.ts'

const flaky = Number(process.env['FLAKY'] ?? 0)
const slowMs = Number(process.env['SLOW_MS'] ?? 0)
let served = 0

serve('ratings', async (_request, response, url) => {
  const id = /^\/ratings\/(\d+)$/.exec(url.pathname)?.[1]
  if (id === undefined) return json(response, 404, { error: 'try /ratings/0' })
  served++
  if (slowMs > 0) await delay(slowMs)
  if (flaky > 0 && served % flaky === 0) return json(response, 503, { error: 'ratings is having a bad moment' })
  json(response, 200, { id: Number(id), ratings: { Reviewer1: 5, Reviewer2: 4 } })
})
