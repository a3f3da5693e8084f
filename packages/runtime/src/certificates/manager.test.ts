import { MeshError } from '@wishbone/core/errors'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { WorkloadCertificate } from './certificate.ts'
import { createCsr } from './csr.ts'
import { issueLeaf, selfSignedRoot } from './issue.ts'
import { CertificateManager } from './manager.ts'

const identity = 'spiffe://cluster.local/ns/shop/sa/web'
const start = new Date('2026-06-01T12:00:00Z')
const root = selfSignedRoot({ organization: 'cluster.local', ttlSeconds: 100 * 86_400, now: start })
const { csrPem, key } = await createCsr(identity)
const minute = 60_000

/** An authority whose answers the test decides. */
class Authority {
  readonly asked: string[] = []
  running = 0
  most = 0
  failing = false
  ttlSeconds = 3600
  holding: PromiseWithResolvers<void> | undefined

  async fetch(wanted: string): Promise<WorkloadCertificate> {
    this.asked.push(wanted)
    this.most = Math.max(this.most, ++this.running)
    await this.holding?.promise
    this.running--
    if (this.failing) throw new MeshError('certificate-unavailable', 'the controller is away')
    const leaf = issueLeaf({ csrPem, uriSans: [wanted], ttlSeconds: this.ttlSeconds, signer: root, now: new Date() })
    return new WorkloadCertificate({ identity: wanted, key, chainPem: leaf.pem, rootsPem: root.certPem })
  }
}

let authority: Authority
let manager: CertificateManager
beforeEach(() => {
  vi.useFakeTimers({ now: start, toFake: ['Date', 'setTimeout', 'clearTimeout'] })
  authority = new Authority()
  manager = new CertificateManager({ authority, random: () => 0.5 })
})
afterEach(() => {
  manager.close()
  vi.useRealTimers()
})

describe('a certificate', () => {
  test('is fetched once for all who wait, and kept', async () => {
    const all = await Promise.all([manager.get(identity), manager.get(identity), manager.get(identity)])
    expect(new Set(all).size).toBe(1)
    expect(await manager.get(identity)).toBe(all[0])
    expect(manager.current(identity)).toBe(all[0])
    expect(authority.asked).toEqual([identity])
  })

  test('is renewed at half of its life, and its users are told', async () => {
    const rotated: string[] = []
    manager.onRotate((_identity, certificate) => rotated.push(certificate.serial))
    const first = await manager.get(identity)
    await vi.advanceTimersByTimeAsync(29 * minute)
    expect(authority.asked).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(2 * minute)
    expect(authority.asked).toHaveLength(2)
    const second = await manager.get(identity)
    expect(rotated).toEqual([first.serial, second.serial])
    expect(second.serial).not.toBe(first.serial)
  })

  test('that lives for months is not renewed at once', async () => {
    authority.ttlSeconds = 90 * 86_400
    await manager.get(identity)
    await vi.advanceTimersByTimeAsync(40 * 86_400_000)
    expect(authority.asked).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(8 * 86_400_000)
    expect(authority.asked).toHaveLength(2)
  })

  test('stays in use while renewals fail, with growing pauses, until it expires', async () => {
    const first = await manager.get(identity)
    authority.failing = true
    await vi.advanceTimersByTimeAsync(30 * minute)
    expect(authority.asked).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(500)
    expect(authority.asked).toHaveLength(3)
    await vi.advanceTimersByTimeAsync(999)
    expect(authority.asked).toHaveLength(3)
    await vi.advanceTimersByTimeAsync(1)
    expect(authority.asked).toHaveLength(4)
    await vi.advanceTimersByTimeAsync(20 * minute)
    expect(await manager.get(identity)).toBe(first)
    // 0.5 s, doubled to 150 s and no more.
    expect(authority.asked.length).toBeGreaterThan(12)
    expect(authority.asked.length).toBeLessThan(20)
    await vi.advanceTimersByTimeAsync(10 * minute)
    await expect(manager.get(identity)).rejects.toMatchObject({
      code: 'certificate-unavailable',
      message: 'the controller is away',
    })
    authority.failing = false
    await vi.advanceTimersByTimeAsync(3 * minute)
    expect((await manager.get(identity)).serial).not.toBe(first.serial)
  })

  test('that cannot be had fails those who ask, at once, and is tried again', async () => {
    authority.failing = true
    await expect(manager.get(identity)).rejects.toThrow('away')
    await expect(manager.get(identity)).rejects.toThrow('away')
    expect(authority.asked).toHaveLength(1)
    expect(manager.dump()).toMatchObject([{ identity, state: 'Unavailable', error: 'the controller is away' }])
    authority.failing = false
    await vi.advanceTimersByTimeAsync(600)
    expect(await manager.get(identity)).toBeDefined()
  })

  test('that cannot be had for long is there soon after its authority is back', async () => {
    authority.failing = true
    await expect(manager.get(identity)).rejects.toThrow('away')
    await vi.advanceTimersByTimeAsync(30 * minute)
    authority.failing = false
    await vi.advanceTimersByTimeAsync(2_500)
    expect(await manager.get(identity)).toBeDefined()
  })
})

describe('a clock', () => {
  test('that jumps past the end of a certificate starts no second row of renewals', async () => {
    await manager.get(identity)
    vi.setSystemTime(Date.now() + 120 * minute)
    await manager.get(identity)
    expect(authority.asked).toHaveLength(2)
    // One renewal every half hour.
    await vi.advanceTimersByTimeAsync(121 * minute)
    expect(authority.asked).toHaveLength(6)
  })

  test('that passes the end of a certificate ends the long pauses between attempts', async () => {
    const { notAfter } = await manager.get(identity)
    authority.failing = true
    await vi.advanceTimersByTimeAsync(notAfter.getTime() - Date.now() - 1)
    authority.failing = false
    await vi.advanceTimersByTimeAsync(2_500)
    expect(manager.current(identity)).toBeDefined()
  })
})

describe('many identities', () => {
  const name = (index: number) => `spiffe://cluster.local/ns/shop/sa/s${index}`

  test('eight at a time, those that a connection waits for first', async () => {
    authority.holding = Promise.withResolvers()
    for (let i = 0; i < 20; i++) manager.prefetch(name(i))
    await vi.advanceTimersByTimeAsync(0)
    expect(authority.asked).toHaveLength(8)
    const urgent = manager.get(name(19))
    const newcomer = manager.get(name(50))
    authority.holding.resolve()
    await Promise.all([urgent, newcomer])
    expect(authority.most).toBe(8)
    expect(authority.asked.slice(8, 10).sort()).toEqual([name(19), name(50)].sort())
    await vi.advanceTimersByTimeAsync(100)
    expect(authority.asked).toHaveLength(21)
  })

  test('a forgotten one is not renewed, and those who wait for it are told', async () => {
    await manager.get(identity)
    manager.forget(identity)
    await vi.advanceTimersByTimeAsync(120 * minute)
    expect(authority.asked).toHaveLength(1)
    authority.holding = Promise.withResolvers()
    for (let i = 0; i < 8; i++) manager.prefetch(name(i))
    const waiting = manager.get(identity)
    manager.forget(identity)
    await expect(waiting).rejects.toMatchObject({ code: 'certificate-unavailable' })
    authority.holding.resolve()
  })

  test('one that is forgotten and wanted again while it is on its way is not asked for twice', async () => {
    authority.holding = Promise.withResolvers()
    manager.prefetch(identity)
    await vi.advanceTimersByTimeAsync(4_000)
    manager.forget(identity)
    const again = manager.get(identity)
    await vi.advanceTimersByTimeAsync(0)
    authority.holding.resolve()
    expect(await again).toBe(manager.current(identity))
    expect(authority.asked).toEqual([identity])
  })

  test('one that is forgotten while it waits for its turn, and wanted again, gets another', async () => {
    authority.holding = Promise.withResolvers()
    for (let i = 0; i < 8; i++) manager.prefetch(name(i))
    manager.prefetch(identity)
    manager.forget(identity)
    const again = manager.get(identity)
    authority.holding.resolve()
    expect(await again).toBe(manager.current(identity))
  })

  test('the dump has no key', async () => {
    await manager.get(identity)
    const text = JSON.stringify(manager.dump())
    expect(text).toContain('BEGIN CERTIFICATE')
    expect(text).not.toContain('PRIVATE')
    expect(manager.dump()).toMatchObject([{ state: 'Available', nextAttempt: new Date('2026-06-01T12:30:00Z') }])
  })
})
