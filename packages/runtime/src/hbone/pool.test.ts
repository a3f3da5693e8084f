import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '@wishbone/core/errors'
import { describe, expect, test } from 'vitest'
import { toDuplex } from './duplex.ts'
import { HbonePool } from './pool.ts'
import { acceptHbone } from './server.ts'
import { tlsPair } from './testing.ts'
import type { AcceptHboneOptions, ConnectRequest, HboneServerSession, PoolKey, PoolOptions } from './types.ts'

const key: PoolKey = {
  sourceIdentity: 'spiffe://a',
  expectedIdentities: ['x', 'y'],
  sourceIp: '10.0.0.1',
  destination: '10.0.0.2:15008',
}

function setup(options: PoolOptions = {}, server: Partial<AcceptHboneOptions> = {}) {
  const sessions: HboneServerSession[] = []
  const pool = new HbonePool(options)
  let dials = 0
  const dial = async () => {
    dials++
    const [client, accepted] = await tlsPair()
    sessions.push(
      acceptHbone(accepted, {
        onConnect: (request: ConnectRequest) => void toDuplex(request.accept()).resume(),
        ...server,
      }),
    )
    return client
  }
  const connect = (changes: Partial<PoolKey> = {}) => pool.connect({ ...key, ...changes }, '10.0.0.2:80', {}, dial)
  return { pool, connect, sessions, dials: () => dials, dial }
}

describe('sharing', () => {
  test('requests that come at once wait for one dial', async () => {
    const { connect, dials, pool } = setup()
    await Promise.all(Array.from({ length: 50 }, () => connect()))
    expect(dials()).toBe(1)
    expect(pool.dump()).toMatchObject([{ streams: 50, state: 'open' }])
  })

  test('a full connection is passed over and found again', async () => {
    const { connect, dials } = setup({ settings: { maxStreams: 2 } })
    const tunnels = await Promise.all([connect(), connect(), connect()])
    expect(dials()).toBe(2)
    for (const tunnel of tunnels) toDuplex(tunnel).destroy()
    await Promise.all([connect(), connect(), connect(), connect()])
    expect(dials()).toBe(2)
  })

  test.each([
    { sourceIdentity: 'spiffe://b' },
    { expectedIdentities: ['x'] },
    { sourceIp: '10.0.0.9' },
    { destination: '10.0.0.3:15008' },
  ])('never across %j', async (other) => {
    const { connect, dials } = setup()
    await connect()
    await connect(other)
    expect(dials()).toBe(2)
  })

  test('the order of expected identities does not matter', async () => {
    const { connect, dials } = setup()
    await connect()
    await connect({ expectedIdentities: ['y', 'x'] })
    expect(dials()).toBe(1)
  })
})

describe('broken connections', () => {
  test('a draining one is left, its streams go on', async () => {
    let received = ''
    const onConnect = (request: ConnectRequest) =>
      void toDuplex(request.accept()).on('data', (chunk: Buffer) => {
        received += chunk
      })
    const { connect, sessions, dials } = setup({}, { onConnect })
    const tunnel = await connect()
    void sessions[0]!.drain()
    await expect.poll(() => connect().then(dials)).toBe(2)
    tunnel.write(Buffer.from('still open'))
    await expect.poll(() => received).toBe('still open')
  })

  test('a closed one is replaced', async () => {
    const { connect, sessions, dials } = setup()
    toDuplex(await connect()).on('error', () => undefined)
    sessions[0]!.close(new MeshError('internal', 'test'))
    await sleep(20)
    await connect()
    expect(dials()).toBe(2)
  })

  test('a failed dial fails all who waited, and the next request dials again', async () => {
    const { pool, connect, dials } = setup()
    const failing = async () => {
      await sleep(5)
      throw new MeshError('connect-timeout', 'nobody there', { hint: 'a NetworkPolicy may block port 15008' })
    }
    const attempts = Array.from({ length: 3 }, () => pool.connect(key, 'a:1', {}, failing))
    for (const attempt of attempts) await expect(attempt).rejects.toMatchObject({ code: 'connect-timeout' })
    await connect()
    expect(dials()).toBe(1)
  })

  test('one who gives up does not spoil the dial for the others', async () => {
    const { pool, dial, connect } = setup()
    const giveUp = new AbortController()
    const first = pool.connect(key, '10.0.0.2:80', {}, dial, giveUp.signal)
    const second = connect()
    giveUp.abort(new MeshError('client-closed', 'gone'))
    await expect(first).rejects.toMatchObject({ code: 'client-closed' })
    await second
  })

  test('a status is not tried again', async () => {
    let requests = 0
    const onConnect = (request: ConnectRequest) => {
      requests++
      request.reject(503)
    }
    const { connect } = setup({}, { onConnect })
    await expect(connect()).rejects.toMatchObject({ status: 503 })
    expect(requests).toBe(1)
  })
})

describe('peers that take few streams', () => {
  test('those who waited for one dial get sessions of their own when the peer takes few streams on each', async () => {
    const { connect, dials } = setup({}, { settings: { maxStreams: 2 } })
    const tunnels = await Promise.all(Array.from({ length: 9 }, () => connect()))
    expect(tunnels).toHaveLength(9)
    expect(dials()).toBe(5)
  })

  test('a peer that takes none is not dialled again and again, and no sessions to it are kept', async () => {
    const { connect, dials, pool } = setup({}, { settings: { maxStreams: 0 } })
    for (let i = 0; i < 3; i++) await expect(connect()).rejects.toMatchObject({ code: 'overloaded' })
    expect(dials()).toBeLessThanOrEqual(6)
    await expect.poll(() => pool.dump()).toEqual([])
  })

  test('a peer whose sessions all end before the first request fails those who wait, after two dials', async () => {
    const { pool, sessions, dial, dials } = setup()
    const slow = async () => {
      if (dials() > 20) throw new Error('dialled without end')
      const socket = await dial()
      // Its GOAWAY is there before the session is.
      void sessions.at(-1)!.drain()
      await sleep(20)
      return socket
    }
    const waiting = Array.from({ length: 3 }, () => pool.connect(key, '10.0.0.2:80', {}, slow))
    for (const one of waiting) await expect(one).rejects.toMatchObject({ code: 'connect-failed' })
    expect(dials()).toBe(2)
    await expect.poll(() => pool.dump()).toEqual([])
  })
})

test('a peer that lives but does not answer fails the request in the end, and what was answered goes on', async () => {
  const requests: ConnectRequest[] = []
  const onConnect = (request: ConnectRequest) => void requests.push(request)
  const { connect, dials } = setup({ answerTimeoutMs: 400 }, { onConnect })
  const answered = connect()
  const never = connect()
  await expect.poll(() => requests.length).toBe(2)
  let received = ''
  toDuplex(requests[0]!.accept()).on('data', (chunk: Buffer) => {
    received += chunk
  })
  const tunnel = await answered
  await expect(never).rejects.toMatchObject({ code: 'connect-timeout' })
  await expect.poll(() => requests[1]!.signal.aborted).toBe(true)
  await sleep(500)
  tunnel.write(Buffer.from('still open'))
  await expect.poll(() => received).toBe('still open')
  expect(dials()).toBe(1)
})

test('an idle connection is released', async () => {
  const { connect, pool, sessions } = setup({ idleReleaseMs: 30 })
  const tunnel = await connect()
  await sleep(60)
  expect(pool.dump()).toHaveLength(1)
  toDuplex(tunnel).destroy()
  await sessions[0]!.closed
  await expect.poll(() => pool.dump()).toEqual([])
})

test('drain lets tunnels finish and takes no new ones', async () => {
  const { connect, pool } = setup()
  const duplex = toDuplex(await connect())
  let drained = false
  const done = pool.drain().then(() => {
    drained = true
  })
  await expect(connect()).rejects.toMatchObject({ code: 'draining' })
  expect(drained).toBe(false)
  duplex.destroy()
  await done
})

test('close resets everything', async () => {
  const { connect, pool, sessions } = setup()
  const failed = new Promise((resolve) => void connect().then((tunnel) => toDuplex(tunnel).once('error', resolve)))
  await expect.poll(() => pool.dump().length).toBe(1)
  await sleep(10)
  const reason = new MeshError('draining', 'the pod is gone')
  pool.close(reason)
  expect(await failed).toBe(reason)
  await sessions[0]!.closed
})
