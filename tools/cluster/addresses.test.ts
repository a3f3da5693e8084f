import { describe, expect, test } from 'vitest'
import { assign, type BalancedService } from './addresses.ts'

const pool = '172.31.0.0/29'
const service = (key: string, more: Partial<BalancedService> = {}): BalancedService => ({
  key,
  eligible: true,
  ...more,
})
const answers = (...services: BalancedService[]): readonly string[] =>
  assign(services, pool).map(({ address, reason }) => address ?? reason ?? 'none')

describe('addresses of LoadBalancer Services', () => {
  test('the lowest free ones, in order of age', () => {
    expect(answers(service('a'), service('b'))).toEqual(['172.31.0.1', '172.31.0.2'])
  })

  test('an address once given stays, also before older Services', () => {
    expect(answers(service('a'), service('b', { has: '172.31.0.1' }))).toEqual(['172.31.0.2', '172.31.0.1'])
  })

  test('one that was asked for comes before those that take any', () => {
    expect(answers(service('a'), service('b', { wanted: '172.31.0.1' }))).toEqual(['172.31.0.2', '172.31.0.1'])
  })

  test('one that was asked for replaces the one that it has', () => {
    expect(answers(service('a', { wanted: '172.31.0.4', has: '172.31.0.1' }))).toEqual(['172.31.0.4'])
  })

  test.each(['192.0.2.1', '172.31.0.0', '172.31.0.7', '172.31.0.8', 'fd00::1', 'nonsense'])(
    '%s cannot be had: the Service stays without address, and says why',
    (wanted) => expect(answers(service('a', { wanted }))[0]).toContain(`the address asked for, ${wanted}`),
  )

  test('one that another Service has is not taken away', () => {
    expect(answers(service('a', { wanted: '172.31.0.1' }), service('b', { has: '172.31.0.1' }))).toEqual([
      '172.31.0.1 belongs to b',
      '172.31.0.1',
    ])
  })

  test('two that have the same (after a restored backup): the older keeps it', () => {
    expect(answers(service('a', { has: '172.31.0.3' }), service('b', { has: '172.31.0.3' }))).toEqual([
      '172.31.0.3',
      '172.31.0.1',
    ])
  })

  test('a Service that no longer wants one loses it, and it is free at once', () => {
    expect(answers(service('a', { has: '172.31.0.1', eligible: false }), service('b'))).toEqual(['none', '172.31.0.1'])
  })

  test('an empty pool', () => {
    const many = Array.from({ length: 7 }, (_, index) => service(`s${index}`))
    expect(new Set(answers(...many)).size).toBe(7)
    expect(answers(...many)[6]).toBe(`no address of ${pool} is free`)
  })
})
