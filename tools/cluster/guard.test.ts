import { expect, test } from 'vitest'
import { guardRules } from './guard.ts'
import { network, ranges } from './settings.ts'

test('what leaves by another way than the bridge is counted and dropped, whoever sends it and in either direction', () => {
  const { chains } = guardRules(network.bridge, ranges)
  expect(chains.map(({ hook }) => hook)).toEqual(['forward', 'output'])
  for (const { rules } of chains) {
    expect(rules.map(({ match }) => match.at(-1))).toEqual([
      { kind: 'sourceIp', value: ranges },
      { kind: 'destinationIp', value: ranges },
    ])
    for (const { match, action } of rules) {
      expect(match.slice(0, -1)).toEqual([
        { kind: 'outInterface', value: network.bridge, negate: true },
        { kind: 'outInterface', value: 'lo', negate: true },
      ])
      expect(action).toEqual([{ kind: 'counter' }, { kind: 'drop' }])
    }
  }
})
