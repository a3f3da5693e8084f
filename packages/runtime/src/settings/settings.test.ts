import { expect, test } from 'vitest'
import { bool, duration, integer, oneOf, optional, readCommonSettings, readSettings, seconds, text } from './index.ts'

test('reads each kind, and defaults where a variable is absent or empty', () => {
  const settings = readSettings(
    { PORT: '8080', FLAG: 'Yes', WAIT: '1m30s', TTL: '24h', LEVEL: 'warn', EMPTY: '' },
    {
      port: integer('PORT', 1, { max: 65_535 }),
      flag: bool('FLAG', false),
      waitMs: duration('WAIT', 0),
      ttl: seconds('TTL'),
      level: oneOf('LEVEL', ['info', 'warn'], 'info'),
      empty: text('EMPTY', 'default'),
      absent: optional('ABSENT'),
    },
  )
  expect(settings).toEqual({ port: 8080, flag: true, waitMs: 90_000, ttl: 86_400, level: 'warn', empty: 'default' })
})

test('reports all mistakes at once, with name, value and what is accepted', () => {
  const read = () =>
    readSettings(
      { PORT: '99999', FLAG: 'maybe' },
      { port: integer('PORT', 1, { max: 65_535 }), flag: bool('FLAG'), name: text('NAME') },
    )
  expect(read).toThrow(
    'settings: PORT is "99999"; it must be a whole number from 0 to 65535; FLAG is "maybe"; it must be true or false; NAME is not set; it must be a text',
  )
})

test('the common settings have the defaults that the manifests rely on', () => {
  const settings = readCommonSettings({ TERMINATION_GRACE_PERIOD_SECONDS: '30', SECRET_TTL: '120' })
  expect(settings).toMatchObject({
    xdsAddress: 'https://wishbone-controller.wishbone-system.svc:15012',
    terminationGraceMs: 30_000,
    secretTtlSeconds: 120,
    clusterId: 'Kubernetes',
  })
})

test('a duration longer than a timer takes is the longest that it takes', () => {
  const longest = 2 ** 31 - 1
  const read = (text: string) => readSettings({ WAIT: text }, { waitMs: duration('WAIT') }).waitMs
  expect(['596h', '1000h', '30d', '3000000'].map(read)).toEqual([596 * 3_600_000, longest, longest, longest])
})
