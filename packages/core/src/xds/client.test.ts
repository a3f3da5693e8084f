import { toBinary } from '@bufbuild/protobuf'
import { discovery, typeUrls } from '@wishbone/proto'
import { describe, expect, test } from 'vitest'
import { ClientSession, createSession, readRequest, step, writeRequest, writeResponse } from './index.ts'

const { address, authorization } = typeUrls
const response = { nonce: '1', resources: [], removed: [], rejected: [] }

describe('a wildcard client', () => {
  test('asks for everything, is ready after the first response of each type, and reconnects with versions', () => {
    const client = new ClientSession([
      { typeUrl: authorization, mode: 'wildcard' },
      { typeUrl: address, mode: 'wildcard' },
    ])
    const requests = client.connect()
    expect(requests.map(({ typeUrl, subscribe }) => [typeUrl, subscribe])).toEqual([
      [authorization, []],
      [address, []],
    ])
    client.received({ ...response, typeUrl: authorization })
    expect([client.ready, client.pending]).toEqual([false, [address]])
    const rejected = [{ name: 'bad', reason: 'no uid' }]
    const resources = [
      ['a', '1'],
      ['b', '1'],
      ['bad', '1'],
    ] as const
    const nack = client.received({ ...response, typeUrl: address, resources, rejected })
    expect(nack).toMatchObject({ nonce: '1', error: 'bad: no uid' })
    expect(client.ready).toBe(true)
    expect(client.received({ ...response, nonce: '2', typeUrl: address, removed: ['a'] })).toEqual({
      typeUrl: address,
      subscribe: [],
      unsubscribe: [],
      initialVersions: new Map(),
      nonce: '2',
    })
    expect(client.connect()[1]!.initialVersions).toEqual(
      new Map([
        ['b', '1'],
        ['bad', ''],
      ]),
    )
  })

  test('hears on the next stream that a resource is gone of which it holds an older form, or a stand-in', () => {
    const client = new ClientSession([{ typeUrl: authorization, mode: 'wildcard' }])
    client.connect()
    const take = (version: string, rejected: { name: string; reason: string }[]) =>
      client.received({ ...response, typeUrl: authorization, resources: [['shop/allow', version]], rejected })
    take('1', [])
    take('2', [{ name: 'shop/allow', reason: 'unknown action 7' }])
    // It was deleted while no stream was there.
    const [request] = client.connect()
    const [, outputs] = step(createSession({ resources: new Map() }), { kind: 'request', request: request! })
    expect(outputs).toMatchObject([{ kind: 'response', response: { removed: ['shop/allow'] } }])
  })

  test('rejects a whole mesh in few words', () => {
    const client = new ClientSession([{ typeUrl: address, mode: 'wildcard' }])
    const rejected = Array.from({ length: 200_000 }, (_, i) => ({
      name: `shop/s${i}`,
      reason: 'not applied: '.repeat(9),
    }))
    const { error } = client.received({ ...response, typeUrl: address, rejected })
    expect(error).toContain('shop/s0: not applied')
    expect(error).toContain('more')
    expect(error!.length).toBeLessThan(200_000)
  })

  test('acknowledges types that it does not know', () => {
    expect(new ClientSession([]).received({ ...response, typeUrl: 'x' })).toMatchObject({ typeUrl: 'x', nonce: '1' })
  })
})

test('an on-demand client subscribes to each name once, and again on the next stream', () => {
  const client = new ClientSession([{ typeUrl: address, mode: 'on-demand' }])
  expect(client.connect()[0]).toMatchObject({ subscribe: ['*'], unsubscribe: ['*'] })
  expect(client.ready).toBe(true)
  expect(client.subscribe(address, ['a', 'a', 'b'])?.subscribe).toEqual(['a', 'b'])
  expect(client.subscribe(address, ['a'])).toBeUndefined()
  expect(client.unsubscribe(address, ['b', 'c'])?.unsubscribe).toEqual(['b'])
  expect(client.connect()[0]).toMatchObject({ subscribe: ['*', 'a'], unsubscribe: ['*'] })
})

describe('messages', () => {
  test('requests survive the way through the message', () => {
    const request = {
      typeUrl: address,
      subscribe: ['a'],
      unsubscribe: ['b'],
      initialVersions: new Map([['c', '1']]),
      nonce: '3',
    }
    expect(readRequest(writeRequest(request))).toEqual(request)
    expect(readRequest(writeRequest({ ...request, error: '' })).error).toBe('')
  })

  test('the bytes of a resource are shared, not copied', () => {
    const resource = { bytes: Uint8Array.of(1, 2), version: 'v', aliases: ['/10.0.0.1'] }
    const message = writeResponse({
      typeUrl: address,
      nonce: '1',
      resources: [{ name: 'a', resource }],
      removed: ['b'],
    })
    expect(message.resources[0]!.resource!.value).toBe(resource.bytes)
    expect(message.resources[0]).toMatchObject({ name: 'a', version: 'v', aliases: ['/10.0.0.1'] })
    expect(toBinary(discovery.DeltaDiscoveryResponseSchema, message).length).toBeGreaterThan(0)
  })
})
