import { X509Certificate } from 'node:crypto'
import { selfSignedRoot } from '@wishbone/runtime/certificates'
import { Secret } from '@wishbone/runtime/secret'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { recorder } from '../../test/wait.ts'
import { type KeptCertificate, keepServerCertificate } from './server-certificate.ts'

const now = new Date('2026-06-01T12:00:00Z')
const day = 86_400
const authority = selfSignedRoot({
  organization: 'test',
  ttlSeconds: 3650 * day,
  now: new Date('2026-01-01T00:00:00Z'),
})

let issued: X509Certificate[]
let kept: KeptCertificate

beforeEach(() => {
  vi.useFakeTimers({ now, toFake: ['Date', 'setTimeout', 'clearTimeout'] })
  issued = []
})
afterEach(() => {
  kept[Symbol.dispose]()
  vi.useRealTimers()
})

function keep(ttlSeconds: number): void {
  const { certPem, key } = authority
  const own = { certPem, key: new Secret(key), intermediates: [], rootsPem: certPem, source: 'test' }
  const onRenew = ({ chainPem }: { chainPem: string }): void => void issued.push(new X509Certificate(chainPem))
  kept = keepServerCertificate(() => own, ['localhost'], { log: recorder(), ttlSeconds, onRenew })
}

const isValid = (): boolean => {
  const { validFrom, validTo } = issued.at(-1)!
  return new Date(validFrom).getTime() <= Date.now() && Date.now() < new Date(validTo).getTime()
}

test('it is renewed at half of its life', async () => {
  keep(day)
  await vi.advanceTimersByTimeAsync(11.9 * 3_600_000)
  expect(issued).toHaveLength(1)
  await vi.advanceTimersByTimeAsync(0.2 * 3_600_000)
  expect(issued).toHaveLength(2)
})

test.each([30, -30])('it is renewed soon after a clock has jumped by %i hours', async (hours) => {
  keep(day)
  vi.setSystemTime(Date.now() + hours * 3_600_000)
  expect(isValid()).toBe(false)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(isValid()).toBe(true)
  expect(issued).toHaveLength(2)
})

test('one that lives for months is not renewed at once', async () => {
  keep(90 * day)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(issued).toHaveLength(1)
})
