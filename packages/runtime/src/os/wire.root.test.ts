// What goes over a link can be looked at, and links and routes do what they say.

import dgram from 'node:dgram'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import {
  addAddress,
  addNeighbour,
  addRoute,
  bindMountNamespace,
  capturePackets,
  closeFd,
  createVeth,
  deleteAddress,
  deleteLink,
  deleteRoute,
  getSysctl,
  inodeOf,
  linkIndex,
  newNamespace,
  openNamespace,
  setSysctl,
  setUp,
  udpIn,
  unmountNamespace,
} from './index.ts'

let ns: number
beforeAll(() => {
  ns = newNamespace()
  setUp(ns, 'lo')
})
afterAll(() => closeFd(ns))

test('a capture sees both directions of a link', async () => {
  const other = newNamespace()
  const mac = '02:00:00:00:00:02'
  createVeth({ nameA: 'wire', nsA: ns, nameB: 'wire', nsB: other, macA: '02:00:00:00:00:01', macB: mac })
  for (const [space, host] of [
    [ns, 1],
    [other, 2],
  ] as const) {
    setUp(space, 'wire')
    addAddress(space, 'wire', `10.8.0.${host}/24`)
  }
  addNeighbour(ns, { ip: '10.8.0.2', mac, dev: 'wire' })
  addNeighbour(other, { ip: '10.8.0.1', mac: '02:00:00:00:00:01', dev: 'wire' })
  const seen = { in: '', out: '' }
  const capture = capturePackets(ns, 'wire', (frame, { direction }) => {
    seen[direction] += frame.toString('latin1')
  })
  const a = dgram.createSocket('udp4')
  a.bind({ fd: udpIn(ns, { ip: '10.8.0.1', port: 5000, mark: 1337 }) })
  const b = dgram.createSocket('udp4')
  b.on('message', (message, from) => b.send(`answer to ${message}`, from.port, from.address))
  b.bind({ fd: udpIn(other, { ip: '10.8.0.2', port: 5000 }) })
  a.send('question', 5000, '10.8.0.2')
  await vi.waitFor(() => {
    expect(seen.out).toContain('question')
    expect(seen.in).toContain('answer to question')
  })
  expect(seen.out.startsWith('\x02\x00\x00\x00\x00\x02')).toBe(true)
  a.close()
  b.close()
  capture.close()
  capture.close()
  closeFd(other)
})

test('an interface that is not there is named', () => {
  expect(() => capturePackets(ns, 'nothere', () => {})).toThrow('no interface "nothere"')
  expect(() => addAddress(ns, 'nothere', '10.0.0.1/24')).toThrow('no interface "nothere"')
})

test('links, addresses and routes can be made twice and taken away twice', () => {
  const pair = { nameA: 'd0', nsA: ns, nameB: 'd1', nsB: ns, mtu: 1400 }
  createVeth(pair)
  expect(() => createVeth(pair)).toThrow(/creating the veth pair d0 - d1.*EEXIST/)
  setUp(ns, 'd0')
  setUp(ns, 'd1')
  for (const cidr of ['10.5.0.1/32', 'fd05::1/64']) {
    addAddress(ns, 'd0', cidr)
    addAddress(ns, 'd0', cidr)
  }
  const routes = [
    { dst: '10.6.0.0/16', dev: 'd0', src: '10.5.0.1' },
    { dst: '10.7.0.1', via: '169.254.1.1', dev: 'd0', onlink: true },
    { dst: 'default', via: '169.254.1.1', dev: 'd0', onlink: true },
    { dst: 'fd06::/64', via: 'fe80::1', dev: 'd0' },
    { dst: '::/0', via: 'fd05::9', dev: 'd0' },
    { dst: '192.0.2.0/24', type: 'blackhole' },
    { dst: '10.10.0.0/16', dev: 'd0', table: 1000 },
  ] as const
  for (let i = 0; i < 2; i++) for (const route of routes) addRoute(ns, route)
  for (let i = 0; i < 2; i++) for (const route of routes) deleteRoute(ns, route)
  for (let i = 0; i < 2; i++) deleteAddress(ns, 'd0', '10.5.0.1/32')
  expect(linkIndex(ns, 'd0')).toBeGreaterThan(1)
  deleteLink(ns, 'd0')
  deleteLink(ns, 'd0')
  expect(linkIndex(ns, 'd0')).toBeUndefined()
})

test("kernel settings are the namespace's own", () => {
  const before = getSysctl(undefined, 'net.ipv4.ip_nonlocal_bind')
  setSysctl(ns, 'net.ipv4.ip_nonlocal_bind', before === '1' ? 0 : 1)
  expect(getSysctl(ns, 'net.ipv4.ip_nonlocal_bind')).not.toBe(before)
  expect(getSysctl(undefined, 'net.ipv4.ip_nonlocal_bind')).toBe(before)
  expect(getSysctl(ns, 'net.ipv4.no_such')).toBeUndefined()
  expect(() => setSysctl(ns, 'kernel.hostname', 'x')).toThrow('not a net.* kernel setting')
})

test('a namespace can be given a name and found by it', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'netns-'))
  const name = path.join(folder, 'pod')
  try {
    bindMountNamespace(ns, name)
  } catch (cause) {
    // Without a mount namespace of its own, root of a user namespace may not mount.
    if ((cause as NodeJS.ErrnoException).code !== 'EPERM') throw cause
    fs.rmSync(folder, { recursive: true })
    return
  }
  const fd = openNamespace(name)
  expect(inodeOf(fd)).toBe(inodeOf(ns))
  closeFd(fd)
  unmountNamespace(name)
  fs.rmSync(folder, { recursive: true })
})
