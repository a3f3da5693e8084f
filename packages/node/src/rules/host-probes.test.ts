import { beforeEach, expect, test, vi } from 'vitest'
import { HostProbes } from './host-probes.ts'

const kernel = { tables: 0, failures: 0, flushed: false }
vi.mock('@wishbone/runtime/os', () => {
  const write = () => {
    if (kernel.failures-- > 0) throw new Error('EBUSY')
    kernel.tables++
  }
  const applyRules = () => {
    write()
    kernel.flushed = false
  }
  const hasTable = () => !kernel.flushed
  return { applyRules, addElements: write, deleteElements: write, deleteTable: write, hasTable }
})

let probes: HostProbes
beforeEach(() => {
  Object.assign(kernel, { tables: 0, failures: 0, flushed: false })
  probes = new HostProbes({ ipv4: '169.254.7.127', ipv6: 'fd16::1' }, 0)
})

test('what the kernel has refused is written when it is asked for again, though nothing has changed', async () => {
  kernel.failures = 1
  await expect(probes.set('a', ['10.0.0.1'], [80])).rejects.toThrow('EBUSY')
  await probes.set('a', ['10.0.0.1'], [80])
  expect(kernel.tables).toBe(1)
  await probes.set('a', ['10.0.0.1'], [80])
  expect(kernel.tables).toBe(1)
})

test('so is what it has refused to take away', async () => {
  await probes.set('a', ['10.0.0.1'], [80])
  kernel.failures = 1
  await expect(probes.delete('a')).rejects.toThrow('EBUSY')
  await probes.delete('a')
  expect(kernel.tables).toBe(2)
  await probes.delete('a')
  expect(kernel.tables).toBe(2)
})

test('a table that somebody else has flushed is written anew, whole, and again until that works', async () => {
  expect(await probes.restore()).toBe(false)
  await probes.set('a', ['10.0.0.1'], [80])
  expect(await probes.restore()).toBe(false)
  expect(kernel.tables).toBe(1)
  Object.assign(kernel, { flushed: true, failures: 1 })
  await expect(probes.restore()).rejects.toThrow('EBUSY')
  expect(await probes.restore()).toBe(true)
  expect(kernel).toMatchObject({ tables: 2, flushed: false })
})
