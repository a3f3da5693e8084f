import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { discovery } from '@wishbone/proto'
import { expect, test } from 'vitest'
import { Demand } from './demand.ts'

const typeUrl = 'type.googleapis.com/istio.workload.Address'
const long = 'x'.repeat(5 << 20)

function asking(): (request: MessageInitShape<typeof discovery.DeltaDiscoveryRequestSchema>) => string | undefined {
  const demand = new Demand()
  return (request) => demand.excessOf(create(discovery.DeltaDiscoveryRequestSchema, { typeUrl, ...request }))
}

test('names are too many, however they are spread over requests', () => {
  const ask = asking()
  for (const i of [0, 1, 2]) expect(ask({ resourceNamesSubscribe: [`${i}${long}`] })).toBeUndefined()
  expect(ask({ resourceNamesSubscribe: [`3${long}`] })).toContain('bytes of names')
})

test('names that are asked for again, or given up, do not count', () => {
  const ask = asking()
  for (let i = 0; i < 9; i++) {
    for (let again = 0; again < 2; again++)
      expect(ask({ resourceNamesSubscribe: ['*', `${i}${long}`] })).toBeUndefined()
    expect(ask({ resourceNamesUnsubscribe: ['*', `${i}${long}`, 'never asked for'] })).toBeUndefined()
  }
})

test('types are too many', () => {
  const ask = asking()
  for (let i = 0; i < 64; i++) expect(ask({ typeUrl: `${typeUrl}${i}` })).toBeUndefined()
  expect(ask({ typeUrl })).toContain('types')
  expect(ask({ typeUrl: `${typeUrl}0` })).toBeUndefined()
})
