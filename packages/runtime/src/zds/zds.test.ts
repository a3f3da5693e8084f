// Server and client over a real socket (no privileges needed: any open file stands for a namespace).
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createLogger } from '../log/index.ts'
import { closeFd, connectSeqpacket, inodeOf, SeqpacketConnection } from '../os/index.ts'
import { encodeHello } from './codec.ts'
import { connectZds, listenZds, type ZdsClientOptions, type ZdsPeer, type ZdsServerOptions } from './index.ts'

const log = createLogger({ program: 'test', sink: { write: () => {}, flush: () => {}, dropped: 0 } })
let folder: string
let socket: string
let namespace: number
let cleanups: AsyncDisposableStack

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'zds-'))
  socket = path.join(folder, 'ztunnel.sock')
  namespace = fs.openSync('/proc/self/ns/net', 'r')
  cleanups = new AsyncDisposableStack()
})

afterEach(async () => {
  await cleanups.disposeAsync()
  closeFd(namespace)
  fs.rmSync(folder, { recursive: true })
})

function server(options: Partial<ZdsServerOptions> = {}) {
  return cleanups.use(listenZds({ path: socket, log, onConnect: (peer) => peer.snapshotSent(), ...options }))
}

function client(options: Partial<ZdsClientOptions> = {}) {
  const events: string[] = []
  const zds = connectZds({
    path: socket,
    log,
    async onAdd({ uid, info, nsFd }) {
      events.push(`add ${uid} ${info.namespace}/${info.name}/${info.serviceAccount} ${inodeOf(nsFd)}`)
      closeFd(nsFd)
    },
    onDel: (uid) => void events.push(`del ${uid}`),
    onKeep: (uid) => void events.push(`keep ${uid}`),
    onSnapshot: (uids) => void events.push(`snapshot ${[...uids].join(',')}`),
    ...options,
  })
  cleanups.use(zds)
  return { events, zds }
}

const workload = (uid: string) => ({
  uid,
  info: { name: 'web-1', namespace: 'shop', serviceAccount: 'web' },
  nsFd: namespace,
})

describe('ZDS', () => {
  test('a new ztunnel gets the snapshot, then what comes later, with the namespaces', async () => {
    const zds = server({
      onConnect: async (peer) => {
        await peer.add(workload('a'))
        await peer.keep('b')
        await peer.snapshotSent()
      },
    })
    const { events } = client()
    await vi.waitFor(() => expect(events).toHaveLength(3))
    await zds.add(workload('c'))
    await zds.del('a')
    const inode = inodeOf(namespace)
    expect(events).toEqual([
      `add a shop/web-1/web ${inode}`,
      'keep b',
      'snapshot a,b',
      `add c shop/web-1/web ${inode}`,
      'del a',
    ])
  })

  test('the error of a handler comes back in the Ack, and the connection goes on', async () => {
    const zds = server()
    const { zds: connected } = client({
      async onAdd({ nsFd, uid }) {
        closeFd(nsFd)
        if (uid === 'bad') throw new Error('no certificate')
      },
    })
    await vi.waitFor(() => expect(zds.peers()).toHaveLength(1))
    await expect(zds.add(workload('bad'))).rejects.toThrow('Add shop/web-1: ztunnel answered: no certificate')
    await zds.add(workload('good'))
    expect(connected.connected).toBe(true)
  })

  test('without a ztunnel an Add fails at once and a Del has nobody to tell', async () => {
    const zds = server()
    await expect(zds.add(workload('a'))).rejects.toMatchObject({ code: 'ENOTCONN' })
    await zds.del('a')
  })

  test('Adds go to the latest ztunnel, Dels to all; when the latest goes, the one before is the latest', async () => {
    const zds = server()
    const first = client()
    await vi.waitFor(() => expect(first.events).toEqual(['snapshot ']))
    const second = client()
    await vi.waitFor(() => expect(second.events).toEqual(['snapshot ']))
    await zds.add(workload('a'))
    await zds.del('a')
    expect(first.events.map((event) => event.split(' ')[0])).toEqual(['snapshot', 'del'])
    expect(second.events.map((event) => event.split(' ')[0])).toEqual(['snapshot', 'add', 'del'])
    await second.zds[Symbol.asyncDispose]()
    await vi.waitFor(() => expect(zds.peers()).toHaveLength(1))
    await zds.add(workload('b'))
    expect(first.events.at(-1)).toMatch(/^add b/)
  })

  test('ztunnel connects again after the agent was away, also to a successor on the same path', async () => {
    const first = listenZds({ path: socket, log, onConnect: (peer) => peer.snapshotSent() })
    const { events } = client()
    await vi.waitFor(() => expect(events).toHaveLength(1))
    server()
    await first[Symbol.asyncDispose]()
    await vi.waitFor(() => expect(events).toHaveLength(2))
    expect(fs.existsSync(socket)).toBe(true)
  })

  test('a ztunnel that does not acknowledge in time is disconnected and the request fails', async () => {
    let peer: ZdsPeer | undefined
    const zds = server({ deadlineMs: 50, onConnect: async (connected) => void (peer = connected) })
    const silent = connectSeqpacket(socket, { onPacket: () => {}, onClose: () => {} })
    silent.send(encodeHello())
    await vi.waitFor(() => expect(peer).toBeDefined())
    await expect(zds.add(workload('a'))).rejects.toThrow('the connection to ztunnel ended')
    expect(peer?.closed.aborted).toBe(true)
    expect(zds.peers()).toHaveLength(0)
    silent.close()
  })

  test.each([
    ['nothing', undefined],
    ['garbage', Buffer.from([255, 255, 255])],
    ['another version', Buffer.from([8, 7])],
    ['an empty greeting', Buffer.alloc(1)],
  ])('a connection that greets with %s is closed', async (_name, greeting) => {
    const zds = server({ deadlineMs: 50 })
    const closed = Promise.withResolvers<void>()
    const stranger = connectSeqpacket(socket, { onPacket: () => {}, onClose: () => closed.resolve() })
    expect(stranger).toBeInstanceOf(SeqpacketConnection)
    if (greeting) stranger.send(greeting)
    await closed.promise
    expect(zds.peers()).toHaveLength(0)
  })

  test('descriptors do not leak, whatever is refused', async () => {
    const zds = server()
    const { events } = client()
    await vi.waitFor(() => expect(events).toHaveLength(1))
    const count = () => fs.readdirSync('/proc/self/fd').length
    const before = count()
    for (let i = 0; i < 30; i++) await zds.add(workload('')).catch(() => {})
    for (let i = 0; i < 30; i++) await zds.add(workload(`pod-${i}`))
    expect(count()).toBeLessThanOrEqual(before)
  })

  test('what ztunnel could not receive is refused before it is sent', async () => {
    const zds = server()
    const { events } = client()
    await vi.waitFor(() => expect(events).toHaveLength(1))
    const long = { ...workload('a'), info: { name: 'x'.repeat(1100), namespace: 'shop', serviceAccount: 'web' } }
    await expect(zds.add(long)).rejects.toThrow(/more than the 1024 allowed/)
    await zds.add(workload('a'))
  })

  test('when the latest ztunnel goes, the one before it is named: it was told nothing meanwhile', async () => {
    const fallbacks: ZdsPeer[] = []
    const zds = server({ onFallback: (peer) => void fallbacks.push(peer) })
    client()
    await vi.waitFor(() => expect(zds.peers()).toHaveLength(1))
    const { zds: latest } = client()
    await vi.waitFor(() => expect(zds.peers()).toHaveLength(2))
    const [first] = zds.peers()
    await latest[Symbol.asyncDispose]()
    await vi.waitFor(() => expect(zds.peers()).toEqual([first]))
    expect(fallbacks).toEqual([first])
    first!.close('the test ends')
    await vi.waitFor(() => expect(zds.peers()).not.toContain(first))
    expect(fallbacks).toHaveLength(1)
  })
})
