import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { PodNamespaces } from './namespaces.ts'

const uid = '0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f'
let proc: string
beforeEach(() => void (proc = mkdtempSync(join(tmpdir(), 'wishbone-proc-'))))
afterEach(() => rmSync(proc, { recursive: true }))

test.each([[[]], [['192.0.2.1']]])('a file that is no namespace is not taken for one (addresses %j)', (ips) => {
  mkdirSync(join(proc, '42/ns'), { recursive: true })
  writeFileSync(join(proc, '42/cgroup'), `0::/kubepods/pod${uid}/x\n`)
  writeFileSync(join(proc, '42/ns/net'), '')
  const namespaces = new PodNamespaces({
    folder: undefined,
    procFolder: proc,
    facts: () => ({ ips, containerIds: [] }),
  })
  expect(namespaces.open(uid)).toBeUndefined()
  namespaces.register(uid, join(proc, '42/ns/net'))
  expect(namespaces.open(uid)).toBeUndefined()
})
