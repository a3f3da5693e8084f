import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hashName, isDnsLabel, parseAddressName, serviceFqdn, workloadUid } from './index.ts'

test('names of resources', () => {
  expect(serviceFqdn('shop', 'cart')).toBe('cart.shop.svc.cluster.local')
  expect(workloadUid('Kubernetes', 'shop', 'a')).toBe('Kubernetes//Pod/shop/a')
})

describe('hashName', () => {
  test('leaves a name that fits', () => expect(hashName(['cart', 'wishbone'])).toBe('cart-wishbone'))

  test('always makes a label, and another one for other parts', () => {
    const parts = fc.array(fc.oneof(fc.string(), fc.stringMatching(/^[a-z-]{0,70}$/)), { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(parts, fc.integer({ min: 20, max: 63 }), (words, limit) => {
        const name = hashName(words, limit)
        expect(isDnsLabel(name)).toBe(true)
        expect(name.length).toBeLessThanOrEqual(limit)
        expect(hashName(words, limit)).toBe(name)
      }),
    )
    expect(hashName(['a'.repeat(70)])).not.toBe(hashName(['a'.repeat(71)]))
  })
})

test.each([
  ['Kubernetes//Pod/shop/a', 'workload'],
  ['/10.0.0.1', 'address'],
  ['net/fd00::1', 'address'],
  ['shop/cart.shop.svc.cluster.local', 'service'],
  ['a', 'workload'],
  ['a/', 'workload'],
])('%s names a %s', (name, kind) => expect(parseAddressName(name).kind).toBe(kind))
