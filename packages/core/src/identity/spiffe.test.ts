import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatSpiffe, parseSpiffe, principalOf } from './index.ts'

test('reads an identity', () => {
  const id = parseSpiffe('spiffe://cluster.local/ns/shop/sa/cart')!
  expect(id).toEqual({ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'cart' })
  expect(principalOf(id)).toBe('cluster.local/ns/shop/sa/cart')
})

test.each([
  '',
  'spiffe://cluster.local',
  'spiffe://cluster.local/ns/shop',
  'spiffe://cluster.local/ns/shop/sa/',
  'spiffe://cluster.local/ns//sa/cart',
  'spiffe:///ns/shop/sa/cart',
  'SPIFFE://cluster.local/ns/shop/sa/cart',
  'spiffe://cluster.local/ns/shop/sa/cart/',
  'spiffe://cluster.local/ns/shop/sa/cart/x',
  'spiffe://cluster.local/sa/cart/ns/shop',
  'spiffe://cluster.local/ns/shop/sa/cart?x=1',
  'spiffe://cluster.local/ns/shop/sa/cart\n',
  'spiffe://cluster.local/ns/sh%6fp/sa/cart',
  'spiffe://user@cluster.local/ns/shop/sa/cart',
  'spiffe://cluster.local:80/ns/shop/sa/cart',
  ' spiffe://cluster.local/ns/shop/sa/cart',
])('refuses %j', (uri) => expect(parseSpiffe(uri)).toBeUndefined())

test('round trip: what is accepted is written back as it was', () => {
  const part = fc.string({ unit: fc.constantFrom(...'abz019.-/:%?@ '), maxLength: 8 })
  const uri = fc.tuple(part, part, part).map(([a, b, c]) => `spiffe://${a}/ns/${b}/sa/${c}`)
  fc.assert(
    fc.property(fc.oneof(uri, fc.string()), (text) => {
      const id = parseSpiffe(text)
      if (id !== undefined) expect(formatSpiffe(id)).toBe(text)
    }),
  )
})
