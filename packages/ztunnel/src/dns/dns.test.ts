import { workload as proto } from '@wishbone/proto'
import { createMetrics } from '@wishbone/runtime/metrics'
import { decode, encode, type Packet } from 'dns-packet'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bytes, memberOf, serviceOf, stateOf, workloadOf } from '../decide/testing.ts'
import { parseNameservers } from './forward.ts'
import { DnsFrames, frameOf } from './frames.ts'
import { findService } from './names.ts'
import { DnsResolver } from './resolver.ts'

const client = workloadOf('client', '10.0.0.1')
const headless = 'db.shop.svc.cluster.local'
const state = stateOf({
  workloads: [
    client,
    workloadOf('db-0', '10.0.0.5', { services: memberOf(headless, 80, 80) }),
    workloadOf('db-1', '10.0.0.6', { services: memberOf(headless, 80, 80) }),
  ],
  services: [
    serviceOf('web', '10.96.0.1'),
    serviceOf('db', ''),
    serviceOf('empty', ''),
    serviceOf('dual', '', { addresses: [{ address: bytes('10.96.0.3') }, { address: bytes('fd00:96::3') }] }),
    serviceOf('four', '', {
      addresses: [{ address: bytes('10.96.0.4') }, { address: bytes('fd00:96::4') }],
      ipFamilies: proto.IPFamilies.IPV4_ONLY,
    }),
    serviceOf('ext', '240.0.0.1', { hostname: 'api.example.com' }),
    serviceOf('wild', '240.0.0.2', { hostname: '*.wild.example.com' }),
    serviceOf('hidden', '240.0.0.3', {
      hostname: 'hidden.example.com',
      namespace: 'other',
      visibility: proto.Visibility.NAMESPACE,
    }),
  ],
})

describe('names', () => {
  test.each([
    ['web', 'web.shop.svc.cluster.local', undefined],
    ['WEB.', 'web.shop.svc.cluster.local', undefined],
    ['web.shop', 'web.shop.svc.cluster.local', undefined],
    ['web.shop.svc', 'web.shop.svc.cluster.local', undefined],
    ['web.shop.svc.cluster.local', 'web.shop.svc.cluster.local', undefined],
    ['web.shop.shop.svc.cluster.local', 'web.shop.svc.cluster.local', 'web.shop'],
    ['web.shop.svc.cluster.local.svc.cluster.local', 'web.shop.svc.cluster.local', 'web.shop.svc.cluster.local'],
    ['api.example.com', 'api.example.com', undefined],
    ['api.example.com.shop.svc.cluster.local', 'api.example.com', 'api.example.com'],
    ['a.wild.example.com', '*.wild.example.com', undefined],
    ['a.b.wild.example.com', '*.wild.example.com', undefined],
    ['wild.example.com', undefined, undefined],
    ['hidden.example.com', undefined, undefined],
    ['web.other', undefined, undefined],
    ['db-0.db.shop.svc.cluster.local', undefined, undefined],
    ['example.org', undefined, undefined],
    ['', undefined, undefined],
  ])('%s', (name, hostname, canonicalName) => {
    const found = findService(name, {
      clientNamespace: 'shop',
      clusterDomain: 'cluster.local',
      servicesByHostname: (text) => state.servicesByHostname(text),
    })
    expect(found?.service.hostname).toBe(hostname)
    expect(found?.canonicalName).toBe(canonicalName)
  })
})

describe('answers', () => {
  const resolver = new DnsResolver({
    state,
    clusterDomain: 'cluster.local',
    network: '',
    random: () => 0,
    metrics: createMetrics({ process: false }),
  })
  const upstream = encode({ type: 'response', id: 9, flags: 0, questions: [], answers: [] })

  async function ask(type: string, name: string, more: Partial<Packet> = {}): Promise<Packet | 'upstream'> {
    const query = encode({ type: 'query', id: 9, flags: 0x100, questions: [{ type, name }], ...more })
    const answer = await resolver.answer(query, client, 'udp', async () => upstream)
    return answer === upstream ? 'upstream' : decode(answer!)
  }
  const data = async (type: string, name: string) => {
    const answer = await ask(type, name)
    return answer === 'upstream' ? answer : answer.answers?.map((one) => one.data)
  }

  test('a VIP, with the id, as authority, for 30 seconds', async () => {
    expect(await ask('A', 'web')).toMatchObject({
      id: 9,
      rcode: 'NOERROR',
      flag_aa: true,
      flag_rd: true,
      flag_ra: true,
      answers: [{ type: 'A', name: 'web', ttl: 30, data: '10.96.0.1' }],
    })
  })

  test('the family that is asked for; none of it is an empty answer', async () => {
    expect(await data('A', 'dual')).toEqual(['10.96.0.3'])
    expect(await data('AAAA', 'dual')).toEqual(['fd00:96::3'])
    expect(await data('AAAA', 'web')).toEqual([])
    expect(await data('AAAA', 'four')).toEqual([])
  })

  test('a headless service has its endpoints; without any the cluster answers', async () => {
    expect(((await data('A', 'db')) as string[]).sort()).toEqual(['10.0.0.5', '10.0.0.6'])
    expect(await data('A', 'empty')).toBe('upstream')
  })

  test('a CNAME leads out of the search domain', async () => {
    expect(await ask('A', 'web.shop.shop.svc.cluster.local')).toMatchObject({
      answers: [
        { type: 'CNAME', data: 'web.shop' },
        { type: 'A', name: 'web.shop', data: '10.96.0.1' },
      ],
    })
  })

  test('other types, other names and other operations go upstream', async () => {
    expect(await ask('MX', 'web')).toBe('upstream')
    expect(await ask('A', 'example.org')).toBe('upstream')
    expect(await ask('A', 'web', { opcode: 'STATUS', flags: 0x1000 })).toBe('upstream')
  })

  test('no answer from upstream is SERVFAIL; what is no query gets nothing', async () => {
    const query = encode({ type: 'query', id: 9, questions: [{ type: 'A', name: 'example.org' }] })
    const failing = async (): Promise<Buffer> => Promise.reject(new Error('no'))
    expect(decode((await resolver.answer(query, client, 'udp', failing))!)).toMatchObject({ id: 9, rcode: 'SERVFAIL' })
    expect(await resolver.answer(Buffer.from('x'), client, 'udp', failing)).toBeUndefined()
    expect(await resolver.answer(upstream, client, 'udp', failing)).toBeUndefined()
  })

  /** For a headless service of so many endpoints. */
  function resolverOf(endpoints: number): DnsResolver {
    const many = Array.from({ length: endpoints }, (_, i) =>
      workloadOf(`db-${i}`, `10.1.${(i >> 8) & 255}.${i & 255}`, { services: memberOf(headless, 80, 80) }),
    )
    return new DnsResolver({
      state: stateOf({ workloads: [client, ...many], services: [serviceOf('db', '')] }),
      clusterDomain: 'cluster.local',
      network: '',
      random: () => 0,
      metrics: createMetrics({ process: false }),
    })
  }

  test('an answer longer than a datagram asks for TCP', async () => {
    const big = resolverOf(60)
    const query = encode({ type: 'query', id: 9, questions: [{ type: 'A', name: 'db' }] })
    const never = async (): Promise<Buffer> => upstream
    expect(decode((await big.answer(query, client, 'udp', never))!)).toMatchObject({ flag_tc: true, answers: [] })
    expect(decode((await big.answer(query, client, 'tcp', never))!).answers).toHaveLength(60)
  })

  test.each([2_000, 70_000])(
    'a headless service with %i endpoints is answered with as many as a message has room for',
    async (count) => {
      const big = resolverOf(count)
      const query = encode({ type: 'query', id: 9, questions: [{ type: 'A', name: headless }] })
      const never = async (): Promise<Buffer> => upstream
      expect(decode((await big.answer(query, client, 'udp', never))!)).toMatchObject({ flag_tc: true, answers: [] })
      const answer = (await big.answer(query, client, 'tcp', never))!
      expect(frameOf(answer).length).toBeGreaterThan(60_000)
      expect(decode(answer).answers!.length).toBeGreaterThan(1_000)
    },
    // To make 70000 workloads takes a busy machine longer than the usual 5 s.
    30_000,
  )

  test('whatever comes, the resolver does not throw', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (raw) => {
        await resolver.answer(Buffer.from(raw), client, 'udp', async () => upstream)
      }),
    )
  })
})

test('frames survive any cutting', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { maxLength: 8 }),
      fc.integer({ min: 1, max: 9 }),
      (messages, size) => {
        const stream = Buffer.concat(messages.map((one) => frameOf(Buffer.from(one))))
        const frames = new DnsFrames()
        const result: Buffer[] = []
        for (let i = 0; i < stream.length; i += size) result.push(...frames.push(stream.subarray(i, i + size)))
        expect(result.map((one) => [...one])).toEqual(messages.map((one) => [...one]))
      },
    ),
  )
})

test('reads nameservers, not their comments or scoped addresses', () => {
  const text =
    'search a b\n# nameserver 9.9.9.9\nnameserver 10.96.0.10\nnameserver fe80::1%eth0\n nameserver fd00::a \n'
  expect(parseNameservers(text)).toEqual(['10.96.0.10', 'fd00::a'])
})
