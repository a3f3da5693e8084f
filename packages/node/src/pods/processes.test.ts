import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ownersOf, Processes } from './processes.ts'

const uid = '0f3c2b1a-1111-4222-8333-444455556666'
const low = uid.replaceAll('-', '_')
const id = 'a1'.repeat(32)
const inner = 'b2'.repeat(32)

test.each<[string, string, readonly string[]]>([
  [
    'v1, cgroupfs',
    `12:memory:/kubepods/burstable/pod${uid}/${id}\n1:name=systemd:/kubepods/pod${uid}/${id}\n`,
    [uid, id],
  ],
  ['v1, guaranteed', `4:cpu,cpuacct:/kubepods/pod${uid}/${id}\n`, [uid, id]],
  [
    'v2, systemd, containerd',
    `0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${low}.slice/cri-containerd-${id}.scope\n`,
    [uid, id],
  ],
  ['v2, systemd, CRI-O', `0::/kubepods.slice/kubepods-pod${low}.slice/crio-${id}.scope/container\n`, [uid, id]],
  ['v2, from a namespace of its own', `0::/../../kubepods-pod${low}.slice/cri-containerd-${id}.scope\n`, [uid, id]],
  ['kind: a node in a container', `0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod${low}.slice/x`, [uid]],
  ['without cgroups per QoS', `3:pids:/k8s.io/${id}\n`, [id]],
  ['Docker inside a pod', `0::/kubepods/pod${uid}/${id}/docker/${inner}\n`, [uid, id, inner]],
  ['the kubelet', '0::/system.slice/kubelet.service\n', []],
  ['a longer number is no id', `0::/${id}f\n`, []],
  ['a process that has ended', '', []],
])('%s', (_, cgroup, owners) => {
  expect(ownersOf(cgroup)).toEqual(owners)
})

test('lowest first; looks again only after a while', () => {
  const proc = mkdtempSync(join(tmpdir(), 'wishbone-proc-'))
  const add = (pid: string, cgroup: string): void => {
    mkdirSync(join(proc, pid))
    writeFileSync(join(proc, pid, 'cgroup'), cgroup)
  }
  add('1000', `0::/kubepods/pod${uid}/${id}\n`)
  add('99', `0::/kubepods/pod${uid}/${inner}\n`)
  mkdirSync(join(proc, 'sys'))
  mkdirSync(join(proc, '77'))
  let now = 0
  const processes = new Processes(proc, () => now)
  expect(processes.of(uid)).toEqual([99, 1000])
  expect(processes.of(id)).toEqual([1000])
  expect(processes.of('other')).toEqual([])
  add('5', `0::/kubepods/pod${uid}/${id}\n`)
  expect(processes.of(uid)).toEqual([99, 1000])
  now += 1000
  expect(processes.of(uid)).toEqual([5, 99, 1000])
  expect(new Processes('/nowhere').of(uid)).toEqual([])
})
