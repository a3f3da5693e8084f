import { describe, expect, test } from 'vitest'
import { longestTimerMs } from '../timers/index.ts'
import { type AttemptFailure, decideRetry, type RetryFacts, type RetryPolicy, retryDelayMs } from './decide.ts'

const facts: RetryFacts = { tries: 1, idempotent: true, replayable: true, otherEndpoint: false }
const policy: RetryPolicy = { codes: new Set([500]), attempts: 2, backoffMs: 0 }
const status = (code: number): AttemptFailure => ({ kind: 'status', status: code })
const reused: AttemptFailure = { kind: 'reset', reusedConnection: true }
const fresh: AttemptFailure = { kind: 'reset', reusedConnection: false }

describe('HTTPRouteRetry', () => {
  test.each([
    ['a listed code', policy, status(500), {}, 'yes'],
    ['a code that is not listed', policy, status(503), {}, 'no'],
    ['the last attempt', policy, status(500), { tries: 2 }, 'yes'],
    ['no attempt left', policy, status(500), { tries: 3 }, 'no'],
    ['attempts: 0', { ...policy, attempts: 0 }, status(500), {}, 'no'],
    ['attempts: 0, no connection', { ...policy, attempts: 0 }, { kind: 'connect' }, { otherEndpoint: true }, 'no'],
    ['a body that was consumed', policy, status(500), { replayable: false }, 'no'],
    ['no connection, asked for', policy, { kind: 'connect' }, {}, 'yes'],
    ['no connection, not asked for, another endpoint', undefined, { kind: 'connect' }, { otherEndpoint: true }, 'yes'],
    ['no connection, not asked for, no other', undefined, { kind: 'connect' }, {}, 'no'],
    ['no connection needs no body', undefined, { kind: 'connect' }, { otherEndpoint: true, replayable: false }, 'yes'],
    ['a dead reused connection', undefined, reused, {}, 'yes'],
    ['a dead reused connection, not idempotent', undefined, reused, { idempotent: false }, 'no'],
    ['a reset of a new connection', undefined, fresh, {}, 'no'],
    ['a reset of a new connection, asked for', policy, fresh, { idempotent: false }, 'yes'],
    ['a backend timeout, 504 not listed', policy, { kind: 'backend-timeout' }, {}, 'no'],
    ['a backend timeout, no list', { ...policy, codes: new Set<number>() }, { kind: 'backend-timeout' }, {}, 'yes'],
    ['without a policy a status is passed on', undefined, status(500), {}, 'no'],
  ] as [string, RetryPolicy | undefined, AttemptFailure, Partial<RetryFacts>, string][])(
    '%s',
    (_name, given, failure, more, expected) => {
      expect(decideRetry(given, failure, { ...facts, ...more })).toBe(expected)
    },
  )
})

test('waits grow and stay at or below 100 ms unless the user says otherwise', () => {
  const waits = [1, 2, 3, 4, 30].map((tries) =>
    retryDelayMs(policy, status(500), { tries, otherEndpoint: false }, () => 0),
  )
  expect(waits).toEqual([25, 50, 100, 100, 100])
  const own = { ...policy, backoffMs: 200 }
  expect([1, 2, 30].map((tries) => retryDelayMs(own, status(500), { tries, otherEndpoint: false }, () => 0))).toEqual([
    200, 400, 2000,
  ])
  expect(retryDelayMs(own, { kind: 'connect' }, { tries: 1, otherEndpoint: true }, () => 0)).toBe(0)
})

test('no wait is longer than a timer can be, which would be none', () => {
  const days = { ...policy, backoffMs: longestTimerMs }
  expect(retryDelayMs(days, status(500), { tries: 3, otherEndpoint: false }, () => 0)).toBe(longestTimerMs)
})
