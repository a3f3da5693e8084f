import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type Baggage,
  formatAuthority,
  formatBaggage,
  formatForwarded,
  newTraceparent,
  parseAuthority,
  parseBaggage,
  parseForwarded,
  parseTraceparent,
} from './index.ts'

describe('authority', () => {
  const cases: [string, string | undefined][] = [
    ['10.0.0.1:80', 'address 10.0.0.1:80'],
    ['[fd00::1]:80', 'address [fd00::1]:80'],
    ['[::ffff:10.0.0.1]:80', 'address 10.0.0.1:80'],
    ['cart.shop.svc.cluster.local:80', 'hostname cart.shop.svc.cluster.local:80'],
    ['Cart.Shop.svc:80', 'hostname cart.shop.svc:80'],
    ['cart.:80', 'hostname cart:80'],
    ['*.example.com:443', 'hostname *.example.com:443'],
    ['cart', undefined],
    ['cart:', undefined],
    [':80', undefined],
    ['cart:0', undefined],
    ['10.0.0.1:0', undefined],
    ['cart:65536', undefined],
    ['cart:80/path', undefined],
    ['user@cart:80', undefined],
    ['ca rt:80', undefined],
    ['cart..shop:80', undefined],
    ['-cart:80', undefined],
    ['1.2.3:80', undefined],
    ['1.2.3.004:80', undefined],
    ['fd00::1:80', undefined],
    ['[fd00::1]', undefined],
    ['http://cart:80', undefined],
    ['', undefined],
  ]
  test.each(cases)('%j is %s', (text, expected) => {
    const parsed = parseAuthority(text)
    expect(parsed === undefined ? undefined : `${parsed.kind} ${formatAuthority(parsed)}`).toBe(expected)
  })

  test('what is accepted is stable', () => {
    const text = fc.string({ unit: fc.constantFrom(...'ab.:[]@/0123 -*'), maxLength: 16 })
    fc.assert(
      fc.property(
        fc.oneof(
          text,
          fc.string(),
          fc.domain().map((name) => `${name}:80`),
        ),
        (candidate) => {
          const parsed = parseAuthority(candidate)
          if (parsed !== undefined) expect(parseAuthority(formatAuthority(parsed))).toEqual(parsed)
        },
      ),
      { numRuns: 2000 },
    )
  })
})

describe('baggage', () => {
  test('writes the members that have a value, in order', () => {
    const baggage: Baggage = {
      zone: 'z',
      cluster: 'Kubernetes',
      workloadType: 'cronjob',
      workloadName: 'w',
      region: '',
    }
    expect(formatBaggage(baggage)).toBe('k8s.cluster.name=Kubernetes,k8s.cronjob.name=w,cloud.availability_zone=z')
  })

  test('reads several lines, skips what it does not know', () => {
    expect(
      parseBaggage(['k8s.namespace.name=shop,x=y,service.name=', 'k8s.job.name=a=b, service.version = v1 ,=']),
    ).toEqual({
      namespace: 'shop',
      workloadType: 'job',
      workloadName: 'a=b',
      revision: 'v1',
    })
  })

  test('round trip', () => {
    const value = fc.stringMatching(/^[a-zA-Z0-9./_-]{1,20}$/)
    const fields = fc.record(
      { cluster: value, namespace: value, service: value, revision: value, region: value, zone: value },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(fields, (baggage) => {
        expect(parseBaggage(formatBaggage(baggage))).toEqual(baggage)
      }),
    )
  })

  test('never throws, and never lets one value become another', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseBaggage(text)
        expect(Object.keys(parseBaggage(formatBaggage({ service: text }))).filter((key) => key !== 'service')).toEqual(
          [],
        )
      }),
    )
  })
})

describe('forwarded', () => {
  test('writes and reads', () => {
    const forwarded = { for: { ip: 'fd00::1', port: 80 }, host: 'cart.shop.svc.cluster.local' }
    expect(formatForwarded(forwarded)).toBe('for="[fd00::1]:80";host=cart.shop.svc.cluster.local')
    expect(parseForwarded(formatForwarded(forwarded))).toEqual(forwarded)
  })

  test.each([
    ['For=1.2.3.4:80; HOST="a"', { for: { ip: '1.2.3.4', port: 80 }, host: 'a' }],
    ['for=unknown;host=a', { host: 'a' }],
    ['for="1.2.3.4:80", for="5.6.7.8:90"', { for: { ip: '1.2.3.4', port: 80 } }],
    ['host=a b', {}],
    ['', {}],
  ])('reads %j', (text, expected) => expect(parseForwarded(text)).toEqual(expected))

  test('never throws', () => {
    const text = fc.string({ unit: fc.constantFrom(...'for=host"\\;,:[] 1.'), maxLength: 40 })
    fc.assert(fc.property(fc.oneof(text, fc.string()), (candidate) => void parseForwarded(candidate)))
  })
})

describe('traceparent', () => {
  test('a new one is valid whatever the random numbers are', () => {
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    fc.assert(
      fc.property(fc.infiniteStream(random), (numbers) => {
        const text = newTraceparent(() => numbers.next().value as number)
        expect(text).toHaveLength(55)
        expect(parseTraceparent(text)).toMatchObject({ sampled: false })
      }),
    )
  })

  const id = '0af7651916cd43dd8448eb211c80319c'
  test.each([
    [`00-${id}-b7ad6b7169203331-01`, true],
    [`01-${id}-b7ad6b7169203331-01-later`, true],
    [`00-${id}-b7ad6b7169203331-01-later`, false],
    [`ff-${id}-b7ad6b7169203331-01`, false],
    [`00-${'0'.repeat(32)}-b7ad6b7169203331-01`, false],
    [`00-${id}-${'0'.repeat(16)}-01`, false],
    [`00-${id.toUpperCase()}-b7ad6b7169203331-01`, false],
    ['', false],
  ])('%s is valid: %s', (text, valid) => expect(parseTraceparent(text) !== undefined).toBe(valid))
})
