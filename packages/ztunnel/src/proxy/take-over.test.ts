import fs from 'node:fs'
import { expect, test, vi } from 'vitest'
import type { PodProxy } from './pod-proxy.ts'
import { TakeOver } from './take-over.ts'

test('where it cannot be told for the moment whether somebody serves the pod, it is asked again', async () => {
  vi.useFakeTimers()
  const fd = fs.openSync('/dev/null', 'r')
  let asked = 0
  const proxy = {
    state: 'starting',
    // As if there were no descriptors left, the first time.
    get nsFd() {
      return asked === 1 ? -1 : fd
    },
    start: () => Promise.resolve(),
  } as unknown as PodProxy
  const done = vi.fn<(proxy: PodProxy) => void>()
  const able = () => ++asked > 1
  const takeOver = new TakeOver(proxy, { able, replace: () => undefined, failed: () => undefined, done })
  await vi.advanceTimersByTimeAsync(1_000)
  expect(done).toHaveBeenCalledWith(proxy)
  expect(takeOver.waiting).toBe(false)
  fs.closeSync(fd)
  vi.useRealTimers()
})

test('a pod whose descriptor cannot be duplicated for the moment is tried again', async () => {
  vi.useFakeTimers()
  const fd = fs.openSync('/dev/null', 'r')
  let attempts = 0
  let listening = false
  const proxy = {
    state: 'starting',
    // As if there were no descriptors left, the first time.
    get nsFd() {
      return attempts++ === 0 ? -1 : fd
    },
    async start() {
      listening = true
    },
  } as unknown as PodProxy
  const done = vi.fn<(proxy: PodProxy) => void>()
  const replace = vi.fn<() => undefined>()
  const failed = vi.fn<(cause: unknown) => void>()
  const takeOver = new TakeOver(proxy, { able: () => true, replace, failed, done })
  await expect(takeOver.now()).rejects.toMatchObject({ code: 'EBADF' })
  expect(takeOver.waiting).toBe(false)
  await vi.advanceTimersByTimeAsync(10_000)
  expect(listening).toBe(true)
  expect(done).toHaveBeenCalledWith(proxy)
  expect(failed).toHaveBeenCalledOnce()
  expect(replace).not.toHaveBeenCalled()
  fs.closeSync(fd)
  vi.useRealTimers()
})
