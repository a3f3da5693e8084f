import { createLogger } from '@wishbone/runtime/log'
import { closeFd, openNamespace } from '@wishbone/runtime/os'
import { expect, test, vi } from 'vitest'
import type { WorkerTools } from './tools.ts'
import { PodWorker } from './worker.ts'

const capture = { inbound: true, dns: true, probePorts: [80], virtualInterfaces: [] }
const pod = { uid: 'u', name: 'web', namespace: 'shop', serviceAccount: 'web' }

function world() {
  const steps: string[] = []
  const given = {
    acknowledged: true,
    captured: false,
    advertised: false,
    tunnelled: 0,
    addErrors: [] as string[],
    present: true,
    silent: false,
  }
  let held = Promise.resolve()
  /** ztunnel gives no answer until this is resolved. */
  const hold = () => {
    const answer = Promise.withResolvers<void>()
    held = answer.promise
    return answer
  }
  const tools: WorkerTools = {
    log: createLogger({ program: 'test', level: 'error' }),
    namespaces: { open: () => (given.present ? openNamespace('/proc/self/ns/net') : undefined) },
    rules: {
      capture: () => {
        steps.push('capture')
        given.captured = true
      },
      release: () => void steps.push('release'),
      clear: () => {
        steps.push('clear')
        given.captured = false
      },
      isCaptured: () => given.captured,
      chainNames: () => [],
    },
    probes: { set: async () => void steps.push('probes'), delete: async () => undefined },
    times: () => ({ withdrawMs: 300, lookupsMs: 5, drainMs: 2_000 }),
    ruleFacts: (own) => ({ ...own, ipv6: true, probeSource: { ipv4: '169.254.7.127', ipv6: 'fd16::1' } }),
    add: async () => {
      const error = given.addErrors.shift()
      steps.push(error === undefined ? 'add' : 'add fails')
      if (error !== undefined) throw new Error(error)
      await held
    },
    del: async () => void steps.push('del'),
    advertise: async (_, enrolled) => {
      given.advertised = enrolled
      steps.push(enrolled ? 'advertise' : 'withdraw')
      return '7'
    },
    isAcknowledged: async (_, version) => {
      steps.push(`acknowledged ${version}?`)
      return given.acknowledged
    },
    isAdvertised: () => given.advertised,
    countTunnelled: () => given.tunnelled,
    failed: async (_, error) => {
      steps.push(`failed: ${error.message}`)
      if (given.silent) await new Promise(() => undefined)
    },
  }
  return { steps, given, hold, worker: new PodWorker(pod, tools) }
}

test('joins in the order: ztunnel, rules, advertisement', async () => {
  const { steps, worker } = world()
  worker.want({ kind: 'in', capture }, ['10.0.0.1'])
  await worker.settled(1000)
  expect(steps).toEqual(['probes', 'add', 'capture', 'advertise'])
  worker.want({ kind: 'out', ended: true }, [])
  await worker.settled(1000)
})

test('leaves in the order: withdrawal, redirects, the last connection, ztunnel, the rest', async () => {
  const { steps, given, worker } = world()
  worker.want({ kind: 'in', capture }, ['10.0.0.1'])
  await worker.settled(1000)
  steps.length = 0
  given.tunnelled = 1
  worker.want({ kind: 'out', ended: false }, [])
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(steps).toEqual(['withdraw', 'acknowledged 7?', 'release'])
  given.tunnelled = 0
  await worker.settled(2000)
  expect(steps).toEqual(['withdraw', 'acknowledged 7?', 'release', 'del', 'clear'])
})

test('a pod that has ended is let go at once', async () => {
  const { steps, given, worker } = world()
  worker.want({ kind: 'in', capture }, ['10.0.0.1'])
  await worker.settled(1000)
  steps.length = 0
  given.tunnelled = 5
  worker.want({ kind: 'out', ended: true }, [])
  await worker.settled(1000)
  expect(steps).toEqual(['del'])
})

test('comes back while it is leaving, without ever being let go', async () => {
  const { steps, given, worker } = world()
  worker.want({ kind: 'in', capture }, ['10.0.0.1'])
  await worker.settled(1000)
  given.tunnelled = 1
  worker.want({ kind: 'out', ended: false }, [])
  await new Promise((resolve) => setTimeout(resolve, 50))
  steps.length = 0
  worker.want({ kind: 'in', capture }, ['10.0.0.1'])
  await worker.settled(1000)
  expect(steps).toEqual(['probes', 'add', 'capture', 'advertise'])
  worker.want({ kind: 'out', ended: true }, [])
  await worker.settled(1000)
})

test('a refusal is reported and tried again; nothing is captured before ztunnel agrees', async () => {
  const { steps, given, worker } = world()
  given.addErrors = ['no certificate']
  worker.want({ kind: 'in', capture }, ['10.0.0.1'])
  await worker.settled(2000)
  expect(steps.slice(0, 5)).toEqual(['probes', 'add fails', 'failed: no certificate', 'probes', 'add'])
  worker.want({ kind: 'out', ended: true }, [])
  await worker.settled(1000)
})

test('tells who waits why it did not come about in time', async () => {
  const { given, worker } = world()
  given.present = false
  worker.want({ kind: 'in', capture }, [])
  await expect(worker.settled(50)).rejects.toThrow(/namespace of pod shop\/web .* is not there/)
  worker.want({ kind: 'out', ended: true }, [])
  await worker.settled(1000)
})

test('the same wish changes nothing, a new probe port does', async () => {
  const { steps, worker } = world()
  worker.want({ kind: 'in', capture }, ['10.0.0.1'])
  await worker.settled(1000)
  steps.length = 0
  worker.want({ kind: 'in', capture }, ['10.0.0.1'])
  await worker.settled(1000)
  expect(steps).toEqual([])
  worker.want({ kind: 'in', capture: { ...capture, probePorts: [81] } }, ['10.0.0.1'])
  await worker.settled(1000)
  expect(steps).toEqual(['probes', 'add', 'capture', 'advertise'])
  worker.want({ kind: 'out', ended: true }, [])
  await worker.settled(1000)
})

test('a pod that a former run has taken in is led out', async () => {
  const { steps, given, worker } = world()
  given.captured = true
  worker.resume()
  worker.want({ kind: 'out', ended: false }, ['10.0.0.1'])
  await worker.settled(1000)
  expect(steps).toEqual(['withdraw', 'acknowledged 7?', 'release', 'del', 'clear'])
  closeFd(openNamespace('/proc/self/ns/net'))
})

test('a withdrawal that nobody acknowledges is waited for, but not for ever', async () => {
  const { steps, given, worker } = world()
  worker.want({ kind: 'in', capture }, ['10.0.0.1'])
  await worker.settled(1000)
  given.acknowledged = false
  worker.want({ kind: 'out', ended: false }, [])
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(steps).not.toContain('release')
  await worker.settled(1000)
  expect(steps.slice(-3)).toEqual(['release', 'del', 'clear'])
})

test('a new sandbox is captured although nothing else has changed', async () => {
  const { steps, worker } = world()
  worker.want({ kind: 'in', capture }, ['10.0.0.1'])
  await worker.settled(1000)
  steps.length = 0
  worker.renew()
  await worker.settled(1000)
  expect(steps).toEqual(['probes', 'add', 'capture', 'advertise'])
  worker.want({ kind: 'out', ended: true }, [])
  await worker.settled(1000)
})

test('a sandbox that is made anew while the pod is still being taken in is captured too', async () => {
  const { steps, worker, hold } = world()
  const ztunnel = hold()
  worker.want({ kind: 'in', capture }, ['10.0.0.1'])
  await new Promise((resolve) => setTimeout(resolve, 20))
  // The same address again: what is wanted is what was wanted before.
  worker.renew()
  const ready = worker.settled(1000)
  ztunnel.resolve()
  await ready
  expect(steps.filter((step) => step === 'capture')).toHaveLength(2)
  worker.want({ kind: 'out', ended: true }, [])
  await worker.settled(1000)
})

test('what failed is tried again though the Kubernetes API takes no word of it', async () => {
  const { given, worker } = world()
  given.addErrors.push('no certificate')
  given.silent = true
  worker.want({ kind: 'in', capture }, ['10.0.0.1'])
  await worker.settled(1000)
  expect(worker.state).toBe('in')
  worker.want({ kind: 'out', ended: true }, [])
  await worker.settled(1000)
})

test('while the start of the pod waits, what failed is tried again every second', async () => {
  vi.useFakeTimers()
  try {
    const { given, worker } = world()
    const failures = 20
    given.addErrors.push(...Array.from({ length: failures }, () => 'no certificate'))
    worker.want({ kind: 'in', capture }, ['10.0.0.1'])
    const ready = worker.settled(25_000, { startsPod: true })
    await vi.advanceTimersByTimeAsync(failures * 1_000)
    expect(worker.state).toBe('in')
    await ready
    worker.want({ kind: 'out', ended: true }, [])
    await worker.settled(1000)
  } finally {
    vi.useRealTimers()
  }
})

test('a clock that is set forward cuts off no connection of a pod that leaves', async () => {
  const { steps, given, worker } = world()
  worker.want({ kind: 'in', capture }, ['10.0.0.1'])
  await worker.settled(1000)
  given.tunnelled = 1
  let timeMs = 0
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => (timeMs += 3_600_000))
  worker.want({ kind: 'out', ended: false }, ['10.0.0.1'])
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(steps).not.toContain('clear')
  given.tunnelled = 0
  await worker.settled(2_000)
  clock.mockRestore()
})
