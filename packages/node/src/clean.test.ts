import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { cleanNamespaces } from './clean.ts'

const kernel = vi.hoisted(() => ({ failures: 0 }))
vi.mock('./rules/install.ts', async () => {
  const { readSync } = await import('node:fs')
  return {
    isCaptured: (nsFd: number) => {
      try {
        readSync(nsFd, Buffer.alloc(1))
      } catch {
        // Not for reading, as namespaces are.
        return true
      }
      throw Object.assign(new Error('what setns says of other files'), { code: 'EINVAL', syscall: 'setns' })
    },
    clear: () => {
      if (kernel.failures-- > 0) throw new Error('EBUSY')
    },
  }
})

let proc: string
beforeEach(() => {
  kernel.failures = 0
  proc = mkdtempSync(join(tmpdir(), 'wishbone-clean-'))
  for (const pid of ['1', '2']) mkdirSync(join(proc, pid, 'ns'), { recursive: true })
})
afterEach(() => rmSync(proc, { recursive: true }))

test('a file that is no namespace, as a runtime leaves them, keeps no other from being cleaned', () => {
  writeFileSync(join(proc, '1/ns/net'), '')
  symlinkSync('/proc/self/ns/net', join(proc, '2/ns/net'))
  const cleaned: string[] = []
  cleanNamespaces(proc, [], (path) => void cleaned.push(path))
  expect(cleaned).toEqual([join(proc, '2/ns/net')])
})

test('nor does one that fails, which is told at the end', () => {
  symlinkSync('/proc/self/ns/net', join(proc, '1/ns/net'))
  symlinkSync('/proc/self/ns/uts', join(proc, '2/ns/net'))
  const cleaned: string[] = []
  kernel.failures = 1
  expect(() => cleanNamespaces(proc, [], (path) => void cleaned.push(path))).toThrow(/1 network namespace/)
  expect(cleaned).toHaveLength(1)
})
