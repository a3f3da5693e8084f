// A pod of which no process runs is found by its address, unless somebody else has that address by now.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { closeFd, inodeOf, newNamespace, setUp } from '@wishbone/runtime/os'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { PodNamespaces } from '../src/pods/namespaces.ts'

const [pod, other] = ['00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b']
let folder: string
let sandbox: number

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wishbone-namespaces-'))
  sandbox = newNamespace()
  setUp(sandbox, 'lo')
  mkdirSync(join(folder, 'named'))
  mkdirSync(join(folder, 'proc/7/ns'), { recursive: true })
  for (const path of ['named/cni-1', 'proc/7/ns/net'])
    symlinkSync(`/proc/${process.pid}/fd/${sandbox}`, join(folder, path))
})
afterEach(() => {
  closeFd(sandbox)
  rmSync(folder, { recursive: true })
})

function find(owner: string): bigint | undefined {
  writeFileSync(join(folder, 'proc/7/cgroup'), `0::/${owner}\n`)
  const namespaces = new PodNamespaces({
    folder: undefined,
    procFolder: join(folder, 'proc'),
    namedFolder: join(folder, 'named'),
    // As its status says it: perhaps that of a sandbox from before the node was started again.
    facts: () => ({ ips: ['127.0.0.1'], containerIds: [] }),
  })
  const fd = namespaces.open(pod)
  if (fd === undefined) return undefined
  const inode = inodeOf(fd)
  closeFd(fd)
  return inode
}

test.each([`kubepods/pod${pod}`, '', `k8s.io/${'a'.repeat(64)}`])(
  'a namespace of its address, with /%s in it',
  (owner) => {
    expect(find(owner)).toBe(inodeOf(sandbox))
  },
)

test('not where a process of another pod runs', () => {
  expect(find(`kubepods/pod${other}`)).toBeUndefined()
})
