// Pods that leave or get another namespace while their proxy is there: no listener may stay behind, to be handed what comes to the next proxy.
import { ports } from '@wishbone/core/names'
import { countListeners, dupFd, newNamespace } from '@wishbone/runtime/os'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { stateOf, workloadOf } from '../src/decide/testing.ts'
import { Overlay } from './overlay.ts'

let overlay: Overlay

beforeEach(() => {
  overlay = new Overlay(stateOf({ workloads: [workloadOf('client', '10.7.0.1')], services: [] }))
  overlay.addPod('client', '10.7.0.1')
})

afterEach(() => overlay[Symbol.asyncDispose]())

test.each([0, 1, 2, 3, 4, 5, 6, 8, 10])('after %s turns of the loop', async (turns) => {
  const ns = overlay.ns('client')
  const info = { name: 'client', namespace: 'shop', serviceAccount: 'client' }
  const adding = overlay.pods.add({ uid: 'client', info, nsFd: dupFd(ns) }).catch(() => undefined)
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => process.nextTick(resolve))
  await overlay.pods.delete('client')
  await adding
  const left = () =>
    [ports.outbound, ports.inboundPlaintext, ports.hbone, ports.dns].map((port) => countListeners(ns, port))
  await expect.poll(left).toEqual([0, 0, 0, 0])
})

test('a pod whose sandbox is made anew keeps its certificate: there may be nobody to give it another', async () => {
  const info = { name: 'client', namespace: 'shop', serviceAccount: 'client' }
  const identity = 'spiffe://cluster.local/ns/shop/sa/client'
  await overlay.pods.add({ uid: 'client', info, nsFd: dupFd(overlay.ns('client')) })
  const certificate = await overlay.certificates.get(identity)
  await overlay.pods.add({ uid: 'client', info, nsFd: newNamespace() })
  expect(overlay.certificates.current(identity)).toBe(certificate)
  expect(countListeners(overlay.ns('client'), ports.hbone)).toBe(0)
})
