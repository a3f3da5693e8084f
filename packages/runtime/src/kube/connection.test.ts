import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { loadConnection } from './connection.ts'

const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: '8080' }
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wishbone-account-'))
  vi.useFakeTimers({ toFake: ['Date', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
  rmSync(folder, { recursive: true })
})

test('a renewed token is read, though the clock was set back', async () => {
  writeFileSync(join(folder, 'token'), 'first')
  const connection = await loadConnection(env, folder)
  const token = async (): Promise<string | undefined> => (await connection.prepare()).headers['authorization']
  expect(await token()).toBe('Bearer first')
  vi.setSystemTime(Date.now() - 48 * 3_600_000)
  writeFileSync(join(folder, 'token'), 'second')
  vi.advanceTimersByTime(11_000)
  expect(await token()).toBe('Bearer second')
  connection.close()
})
