import { typeUrls } from '@wishbone/proto'
import { describe, expect, test } from 'vitest'
import { acknowledgedResources, createSession, isSettled, step } from './session.ts'
import type { Session, SessionOptions } from './state.ts'
import type { DeltaRequest, DeltaResponse, ResourceSet, SessionOutput, VersionedResource } from './types.ts'

const { address, authorization } = typeUrls

const resource = (version: string, aliases: string[] = [], groups: string[] = []): VersionedResource => ({
  bytes: new TextEncoder().encode(version),
  version,
  aliases,
  groups,
})

const set = (addresses: Record<string, VersionedResource>, authorizations: Record<string, VersionedResource> = {}) =>
  new Map([
    [address as string, new Map(Object.entries(addresses))],
    [authorization as string, new Map(Object.entries(authorizations))],
  ]) satisfies ResourceSet

/** One client's stream: keeps the session, records what is sent. */
class Stream {
  session: Session
  constructor(options: SessionOptions = {}) {
    this.session = createSession(options)
  }
  resources(resources: ResourceSet): readonly DeltaResponse[] {
    return this.#step({ kind: 'resources', resources })
  }
  request(typeUrl: string, parts: Partial<DeltaRequest> = {}): readonly DeltaResponse[] {
    const request = { typeUrl, subscribe: [], unsubscribe: [], initialVersions: new Map(), nonce: '', ...parts }
    return this.#step({ kind: 'request', request })
  }
  ack(response: DeltaResponse | undefined, error?: string): readonly DeltaResponse[] {
    const nonce = response!.nonce
    return this.request(response!.typeUrl, error === undefined ? { nonce } : { nonce, error })
  }
  outputs: readonly SessionOutput[] = []
  #step(input: Parameters<typeof step>[1]): readonly DeltaResponse[] {
    const [session, outputs] = step(this.session, input)
    this.session = session
    this.outputs = outputs
    return outputs.flatMap((output) => (output.kind === 'response' ? [output.response] : []))
  }
}

const names = (response: DeltaResponse | undefined) => response?.resources.map(({ name }) => name)
const brief = (responses: readonly DeltaResponse[]) =>
  responses.map(({ typeUrl, resources, removed }) => [
    typeUrl === address ? 'address' : 'authorization',
    resources.map(({ name, resource: { version } }) => `${name}@${version}`),
    removed,
  ])

describe('wildcard', () => {
  test('answers the first request of a type even when there is nothing', () => {
    const stream = new Stream({ resources: new Map() })
    expect(brief(stream.request(authorization))).toEqual([['authorization', [], []]])
    expect(brief(stream.request(address))).toEqual([['address', [], []]])
    expect(brief(stream.request('type.googleapis.com/unknown'))).toHaveLength(1)
  })

  test('answers nothing before there are resources, then everything', () => {
    const stream = new Stream()
    expect(stream.request(address)).toEqual([])
    expect(brief(stream.resources(set({ a: resource('1') })))).toEqual([['address', ['a@1'], []]])
  })

  test('sends only differences to the versions that a reconnecting client holds, and removals', () => {
    const stream = new Stream({ resources: set({ a: resource('1'), b: resource('2'), c: resource('1') }) })
    const initialVersions = new Map([
      ['a', '1'],
      ['b', '1'],
      ['gone', '1'],
      ['c', ''],
    ])
    expect(brief(stream.request(address, { initialVersions }))).toEqual([['address', ['b@2', 'c@1'], ['gone']]])
  })

  test('joins what changes while a response is outstanding', () => {
    const stream = new Stream({ resources: set({ a: resource('1') }) })
    const [first] = stream.request(address)
    expect(stream.resources(set({ a: resource('2'), b: resource('1') }))).toEqual([])
    expect(stream.resources(set({ a: resource('3'), b: resource('1') }))).toEqual([])
    expect(brief(stream.ack(first))).toEqual([['address', ['a@3', 'b@1'], []]])
  })

  test('sends nothing for equal content', () => {
    const stream = new Stream({ resources: set({ a: resource('1') }) })
    stream.ack(stream.request(address)[0])
    const again = set({ a: resource('1') })
    expect(stream.resources(again)).toEqual([])
    expect(acknowledgedResources(stream.session, address)).toBe(again.get(address))
    expect(isSettled(stream.session)).toBe(true)
  })

  test('ignores stale nonces', () => {
    const stream = new Stream({ resources: set({ a: resource('1') }) })
    const [first] = stream.request(address)
    stream.ack(first)
    const [second] = stream.resources(set({ a: resource('2') }))
    stream.resources(set({ a: resource('3') }))
    expect(stream.ack(first)).toEqual([])
    expect(stream.outputs).toEqual([])
    expect(brief(stream.ack(second))).toEqual([['address', ['a@3'], []]])
  })

  test('records a rejection and does not send the same again', () => {
    const stream = new Stream({ resources: set({ a: resource('1') }) })
    const [first] = stream.request(address)
    expect(stream.ack(first, '')).toEqual([])
    expect(stream.outputs).toEqual([{ kind: 'rejected', typeUrl: address, nonce: first!.nonce, message: '' }])
    expect(acknowledgedResources(stream.session, address)).toBeUndefined()
    expect(brief(stream.resources(set({ a: resource('2') })))).toEqual([['address', ['a@2'], []]])
  })

  test('the session before a step is unchanged', () => {
    const session = createSession({ resources: set({ a: resource('1') }) })
    const request = { typeUrl: address, subscribe: [], unsubscribe: [], initialVersions: new Map(), nonce: '' }
    step(session, { kind: 'request', request })
    expect(session.types.size).toBe(0)
    expect(step(session, { kind: 'request', request })[1]).toEqual(step(session, { kind: 'request', request })[1])
  })

  test('many clients at the same state share one diff', () => {
    const one = set({ a: resource('1') })
    const two = set({ a: resource('2') })
    const streams = [1, 2, 3].map(() => new Stream({ resources: one }))
    for (const stream of streams) stream.ack(stream.request(address)[0])
    const sent = streams.map((stream) => stream.resources(two)[0]!.resources[0]!.resource)
    expect(sent[1]).toBe(sent[0])
    expect(sent[0]).toBe(two.get(address)!.get('a'))
  })
})

describe('policies and workloads', () => {
  const both = (options: SessionOptions) => {
    const stream = new Stream(options)
    stream.ack(stream.request(authorization)[0])
    stream.ack(stream.request(address)[0])
    return stream
  }

  test('a policy is sent before the workload that names it', () => {
    const stream = both({ resources: set({}) })
    expect(brief(stream.resources(set({ w: resource('1') }, { p: resource('1') })))).toEqual([
      ['authorization', ['p@1'], []],
      ['address', ['w@1'], []],
    ])
  })

  test('workloads wait while a policy cannot be sent yet', () => {
    const stream = both({ resources: set({}) })
    const [p1] = stream.resources(set({}, { p: resource('1') }))
    expect(stream.resources(set({ w: resource('1') }, { p: resource('1'), q: resource('1') }))).toEqual([])
    expect(brief(stream.ack(p1))).toEqual([
      ['authorization', ['q@1'], []],
      ['address', ['w@1'], []],
    ])
  })

  test('workloads do not wait for an acknowledgement of policies that were sent', () => {
    const stream = both({ resources: set({}) })
    const policies = { p: resource('1') }
    stream.resources(set({}, policies))
    expect(brief(stream.resources(set({ w: resource('1') }, policies)))).toEqual([['address', ['w@1'], []]])
  })

  test('a policy leaves after the workloads that named it', () => {
    const stream = both({ resources: set({ w: resource('1') }, { p: resource('1') }) })
    const first = stream.resources(set({ w: resource('2') }, {}))
    expect(brief(first)).toEqual([
      ['address', ['w@2'], []],
      ['authorization', [], ['p']],
    ])
    expect(isSettled(stream.session)).toBe(false)
    for (const response of first) expect(stream.ack(response)).toEqual([])
    expect(isSettled(stream.session)).toBe(true)
  })

  test('a policy stays while the change of its workloads cannot be sent, and may come back meanwhile', () => {
    const stream = both({ resources: set({ w: resource('1') }, { p: resource('1') }) })
    const [w2] = stream.resources(set({ w: resource('2') }, { p: resource('1') }))
    expect(stream.resources(set({ w: resource('3') }, {}))).toEqual([])
    expect(brief(stream.resources(set({ w: resource('4') }, { p: resource('2') })))).toEqual([
      ['authorization', ['p@2'], []],
    ])
    expect(brief(stream.ack(w2))).toEqual([['address', ['w@4'], []]])
  })

  test('a policy leaves at once when no workload changes', () => {
    const stream = both({ resources: set({ w: resource('1') }, { p: resource('1') }) })
    expect(brief(stream.resources(set({ w: resource('1') }, {})))).toEqual([['authorization', [], ['p']]])
  })

  test('with an expected type, addresses wait for the request for policies', () => {
    const stream = new Stream({
      resources: set({ w: resource('1') }, { p: resource('1') }),
      expects: [authorization, address],
    })
    expect(stream.request(address)).toEqual([])
    expect(brief(stream.request(authorization))).toEqual([
      ['authorization', ['p@1'], []],
      ['address', ['w@1'], []],
    ])
  })
})

describe('on demand', () => {
  const pod = 'Kubernetes//Pod/shop/a'
  const other = 'Kubernetes//Pod/shop/b'
  const service = 'shop/cart.shop.svc.cluster.local'
  const resources = set({
    [pod]: resource('1', ['/10.0.0.1'], [service, 'node:n1']),
    [other]: resource('1', ['/10.0.0.2'], [service, 'node:n2']),
    [service]: resource('1', ['/10.96.0.1']),
  })
  const open = (options: SessionOptions = { resources }) => {
    const stream = new Stream(options)
    const first = stream.request(address, { subscribe: ['*'], unsubscribe: ['*'] })
    expect(first).toHaveLength(1)
    stream.ack(first[0])
    return { stream, first: first[0]! }
  }

  test('subscribing to and leaving "*" at once gets an empty answer', () => {
    expect(brief([open().first])).toEqual([['address', [], []]])
  })

  test('its own node comes without asking', () => {
    expect(names(open({ resources, groups: ['node:n1'] }).first)).toEqual([pod])
  })

  const cases: [string, string, string[], string[]][] = [
    ['a uid', pod, [pod], []],
    ['an address', '/10.0.0.2', [other], []],
    ['a VIP, with the workloads behind it', '/10.96.0.1', [service, pod, other], []],
    ['namespace and hostname', service, [service, pod, other], []],
    ['an unknown name', '/10.9.9.9', [], ['/10.9.9.9']],
  ]
  test.each(cases)('answers %s', (_, name, expected, removed) => {
    const { stream } = open()
    const [response] = stream.request(address, { subscribe: [name] })
    expect(names(response)).toEqual(expected)
    expect(response!.removed).toEqual(removed)
    expect(stream.ack(response)).toEqual([])
  })

  test('answers a name again that was asked for again', () => {
    const { stream } = open()
    stream.ack(stream.request(address, { subscribe: [pod] })[0])
    expect(names(stream.request(address, { subscribe: [pod] })[0])).toEqual([pod])
  })

  test('answers names that were asked for while a response was outstanding', () => {
    const { stream } = open()
    const [response] = stream.request(address, { subscribe: [pod] })
    expect(stream.request(address, { subscribe: ['/10.9.9.9'] })).toEqual([])
    expect(brief(stream.ack(response))).toEqual([['address', [], ['/10.9.9.9']]])
  })

  test('a name that was unknown is pushed once it exists, and removed when it is gone', () => {
    const { stream } = open({ resources: set({}) })
    stream.ack(stream.request(address, { subscribe: ['/10.0.0.1'] })[0])
    const [response] = stream.resources(resources)
    expect(names(response)).toEqual([pod])
    stream.ack(response)
    expect(brief(stream.resources(set({})))).toEqual([['address', [], [pod]]])
  })

  test('is not told of what it did not ask for', () => {
    const { stream } = open()
    stream.ack(stream.request(address, { subscribe: [pod] })[0])
    const changed = new Map([[address as string, new Map(resources.get(address)!).set(other, resource('2'))]])
    expect(stream.resources(changed)).toEqual([])
  })

  test('is not told any more of a name that it left', () => {
    const { stream } = open()
    stream.ack(stream.request(address, { subscribe: ['/10.0.0.1', other] })[0])
    const [dropped] = stream.request(address, { unsubscribe: [other] })
    expect(brief([dropped!])).toEqual([['address', [], [other]]])
    stream.ack(dropped)
    const changed = new Map([[address as string, new Map(resources.get(address)!).set(other, resource('2'))]])
    expect(stream.resources(changed)).toEqual([])
  })

  test('reconnects with names and versions', () => {
    const stream = new Stream({ resources })
    const initialVersions = new Map([
      [pod, '1'],
      [other, 'old'],
      ['gone', '1'],
    ])
    const subscribe = ['/10.0.0.1', other, 'nobody']
    expect(brief(stream.request(address, { subscribe, initialVersions }))).toEqual([
      ['address', [`${other}@1`], ['gone', 'nobody']],
    ])
  })
})

describe('a policy that covered workloads by its scope, and now only those that name it', () => {
  const shared = (version: string): VersionedResource => ({ ...resource(version), shared: true })
  const before = set({ w: resource('w') }, { p: shared('wide') })
  const after = set({ w: resource('w names p') }, { p: resource('narrow'), q: resource('new') })
  const settled = () => {
    const stream = new Stream({ resources: before, expects: [authorization] })
    const first = stream.request(authorization)
    stream.ack(first[0])
    return { stream, address: stream.request(address) }
  }

  test('covers them until they do', () => {
    const { stream, address: known } = settled()
    stream.ack(known[0])
    const sent = stream.resources(after)
    expect(brief(sent)).toEqual([['authorization', ['q@new'], []]])
    const next = stream.ack(sent[0])
    expect(brief(next)).toEqual([
      ['address', ['w@w names p'], []],
      ['authorization', ['p@narrow'], []],
    ])
    for (const response of next) stream.ack(response)
    expect(isSettled(stream.session)).toBe(true)
  })

  test('also while they wait for a slow client', () => {
    const { stream, address: outstanding } = settled()
    const sent = stream.resources(set({ w: resource('w names p') }, { p: resource('narrow') }))
    expect(sent).toEqual([])
    expect(isSettled(stream.session)).toBe(false)
    expect(brief(stream.ack(outstanding[0]))).toEqual([
      ['address', ['w@w names p'], []],
      ['authorization', ['p@narrow'], []],
    ])
  })

  test('waits for nothing where no workload changes, nor where it comes to cover more', () => {
    const { stream, address: known } = settled()
    stream.ack(known[0])
    const narrow = stream.resources(set({ w: resource('w') }, { p: resource('narrow') }))
    expect(brief(narrow)).toEqual([['authorization', ['p@narrow'], []]])
    stream.ack(narrow[0])
    expect(brief(stream.resources(set({ w: resource('w2') }, { p: shared('wide') })))[0]).toEqual([
      'authorization',
      ['p@wide'],
      [],
    ])
  })

  test('is removed like any other that is gone before they do', () => {
    const { stream, address: outstanding } = settled()
    stream.resources(after)
    stream.resources(set({ w: resource('w2') }, {}))
    const sent = stream.ack(outstanding[0])
    expect(brief(sent)).toContainEqual(['address', ['w@w2'], []])
    expect(brief(sent).at(-1)).not.toContainEqual(['p@narrow'])
  })
})
