import { expect, test, vi } from 'vitest'
import { TokenReviewer } from './token-review.ts'

const good = {
  status: { authenticated: true, audiences: ['istio-ca'], user: { username: 'system:serviceaccount:shop:cart' } },
}

function reviewer() {
  const state = { asked: 0, atOnce: 0, most: 0, answers: [] as ((answer: unknown) => void)[] }
  const request = async <T>(): Promise<T> => {
    state.asked++
    state.most = Math.max(state.most, ++state.atOnce)
    const answer = await new Promise((resolve) => state.answers.push(resolve))
    state.atOnce--
    return answer as T
  }
  return { state, reviews: new TokenReviewer({ request }) }
}

async function answerAll(state: ReturnType<typeof reviewer>['state'], answer: unknown): Promise<void> {
  do {
    for (const resolve of state.answers.splice(0)) resolve(answer)
    await new Promise((resolve) => setImmediate(resolve))
  } while (state.answers.length > 0)
}

test('many tokens at once are reviewed one after another, not all at once', async () => {
  const { state, reviews } = reviewer()
  const all = Array.from({ length: 300 }, (_, i) => reviews.review(`Bearer t${i}`))
  await answerAll(state, good)
  const kinds = new Set((await Promise.all(all)).map(({ kind }) => kind))
  expect([state.asked, state.most, [...kinds]]).toEqual([300, 64, ['caller']])
  const later = reviews.review('Bearer later')
  await answerAll(state, good)
  expect((await later).kind).toBe('caller')
})

test('who has waited for long, or finds too many before it, is told to try again', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  const { state, reviews } = reviewer()
  const all = Array.from({ length: 5_000 }, (_, i) => reviews.review(`Bearer t${i}`))
  expect((await all.at(-1)!).kind).toBe('unavailable')
  vi.advanceTimersByTime(11_000)
  await answerAll(state, good)
  expect((await all[64]!).kind).toBe('unavailable')
  expect(state.asked).toBe(64)
  vi.useRealTimers()
  const again = reviews.review('Bearer t4999')
  await answerAll(state, good)
  expect((await again).kind).toBe('caller')
})
