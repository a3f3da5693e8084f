import { describe, expect, test } from 'vitest'
import { stateOf, targetsOf } from './get.ts'
import { secondsOf } from './pods.ts'
import { isTroubledService } from './status.ts'

describe('targetsOf', () => {
  test.each([
    { words: ['pods'], targets: [{ kindWord: 'pods', names: [] }] },
    { words: ['pod', 'a', 'b'], targets: [{ kindWord: 'pod', names: ['a', 'b'] }] },
    {
      words: ['pods,svc'],
      targets: [
        { kindWord: 'pods', names: [] },
        { kindWord: 'svc', names: [] },
      ],
    },
    {
      words: ['pod/a', 'svc/b'],
      targets: [
        { kindWord: 'pod', names: ['a'] },
        { kindWord: 'svc', names: ['b'] },
      ],
    },
    { words: [], targets: [] },
  ])('$words', ({ words, targets }) => {
    expect(targetsOf(words)).toEqual(targets)
  })
  test.each([[['pods,svc', 'a']], [['pod/a', 'b']], [['pod/']], [['a/b/c']]])('%j is refused', (words) => {
    expect(() => targetsOf(words)).toThrow(/KIND|kind/)
  })
})

test.each([
  ['90', 90],
  ['30s', 30],
  ['5m', 300],
  ['1h30m', 5400],
])('secondsOf(%s)', (text, seconds) => expect(secondsOf(text)).toBe(seconds))
test.each(['', 'x', '5d', '-3s', '3s!'])('secondsOf(%j) is refused', (text) =>
  expect(() => secondsOf(text)).toThrow(/duration/),
)

test('the state of a Gateway tells which of its listeners is wrong', () => {
  const condition = (type: string, status: string, reason: string) => ({ type, status, reason })
  const gateway = {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'edge' },
    status: {
      conditions: [condition('Programmed', 'True', 'Programmed')],
      listeners: [
        {
          name: 'https',
          conditions: [
            condition('ResolvedRefs', 'False', 'InvalidCertificateRef'),
            condition('Conflicted', 'False', 'NoConflicts'),
          ],
        },
        { name: 'http', conditions: [condition('ResolvedRefs', 'True', 'ResolvedRefs')] },
      ],
    },
  }
  expect(stateOf(gateway)).toBe('Programmed=True listener https: ResolvedRefs=False(InvalidCertificateRef)')
})

test.each([
  ['istio.io/WaypointBound', 'False', 'WaypointMissing', true],
  ['istio.io/WaypointBound', 'True', 'WaypointAccepted', false],
  ['istio.io/WaypointBound', 'False', 'OptedOut', false],
  ['LoadBalancerReady', 'False', 'Pending', false],
])('a Service with %s=%s(%s) is in trouble: %s', (type, status, reason, expected) => {
  const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web' } }
  expect(isTroubledService({ ...service, status: { conditions: [{ type, status, reason }] } })).toBe(expected)
})
