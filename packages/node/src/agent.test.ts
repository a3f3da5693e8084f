// The agent with a kernel, an API and a ztunnel that are made up; only descriptors are real.
import { createLogger } from '@wishbone/runtime/log'
import { closeFd, inodeOf, openNamespace } from '@wishbone/runtime/os'
import type { ZdsPeer } from '@wishbone/runtime/zds'
import { afterEach, expect, test, vi } from 'vitest'
import { Agent, type AgentOptions } from './agent.ts'
import { annotations, labels } from './enrolment/decide.ts'
import type { Namespace, Pod } from './kinds.ts'
import type { PodNamespaces } from './pods/namespaces.ts'
import { PodStore } from './pods/store.ts'

const [oldSandbox, newSandbox] = ['/proc/self/ns/net', '/proc/self/ns/mnt']
const sandbox = { netns: oldSandbox, podName: 'web', podNamespace: 'shop', podUid: 'u', ips: ['10.0.0.1'] }
const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'shop', uid: 'u', resourceVersion: '5' },
}
const shop = (resourceVersion: string, mode?: string): Namespace => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: 'shop', resourceVersion, labels: mode === undefined ? {} : { [labels.mode]: mode } },
})

const agents: Agent[] = []
const kernel = {
  captured: false,
  cleared: 0,
  failures: 0,
  added: 0,
  unreadable: 0,
  refused: undefined as bigint | undefined,
  silent: false,
  held: undefined as Promise<void> | undefined,
}
afterEach(async () => {
  Object.assign(kernel, {
    captured: false,
    cleared: 0,
    failures: 0,
    added: 0,
    unreadable: 0,
    refused: undefined,
    silent: false,
    held: undefined,
  })
  for (const agent of agents.splice(0))
    for (const worker of agent.workers()) {
      worker.want({ kind: 'out', ended: true }, [])
      await worker.settled(1000)
    }
})

function world(options: Partial<AgentOptions> = {}) {
  const paths = new Map<string, string>()
  const namespaces = {
    register: (uid: string, path: string) => void paths.set(uid, path),
    forget: (uid: string) => void paths.delete(uid),
    open: (uid: string) => (paths.has(uid) ? openNamespace(paths.get(uid)!) : undefined),
  } as unknown as PodNamespaces
  const agent = new Agent({
    settings: { excludedNamespaces: [], dns: true },
    log: createLogger({ program: 'test', level: 'error' }),
    namespaces,
    fetch: async () => ({ pod, namespace: shop('3', 'ambient') }),
    enrolledNamespaces: () => undefined,
    say: async () => undefined,
    tools: {
      log: createLogger({ program: 'test', level: 'error' }),
      namespaces,
      rules: {
        capture: () => undefined,
        release: () => undefined,
        clear: (nsFd) => {
          kernel.cleared++
          if (kernel.refused === inodeOf(nsFd)) throw new Error('EBUSY')
        },
        isCaptured: () => {
          if (kernel.unreadable-- > 0) throw new Error('EMFILE')
          return kernel.captured
        },
        chainNames: () => {
          if (kernel.failures-- > 0) throw new Error('EMFILE')
          return []
        },
      },
      probes: { set: async () => undefined, delete: async () => undefined },
      times: () => ({ withdrawMs: 0, lookupsMs: 0, drainMs: 0 }),
      ruleFacts: (own) => ({ ...own, ipv6: true, probeSource: { ipv4: '169.254.7.127', ipv6: 'fd16::1' } }),
      add: async () => {
        kernel.added++
        await kernel.held
      },
      del: async () => undefined,
      advertise: async () => '7',
      isAcknowledged: async () => true,
      isAdvertised: () => false,
      countTunnelled: () => 0,
      failed: () => (kernel.silent ? new Promise(() => undefined) : Promise.resolve()),
    },
    ...options,
  })
  agents.push(agent)
  const store = new PodStore({ changed: (uid) => agent.changed(uid), removed: (gone) => agent.removed(gone) })
  agent.attach(store)
  store.replacePods([])
  store.replaceNamespaces([shop('3', 'ambient')])
  const states = () => [...agent.workers()].map(({ state }) => state)
  return { agent, store, paths, states }
}

const never = new AbortController().signal

test('a sandbox may start once it is captured', async () => {
  const { agent, states } = world()
  await agent.addSandbox(sandbox)
  expect(states()).toEqual(['in'])
})

test('a sandbox that cannot be opened may not start', async () => {
  const { agent } = world({
    namespaces: { register: () => undefined, open: () => undefined } as unknown as PodNamespaces,
  })
  await expect(agent.addSandbox(sandbox)).rejects.toThrow(/the network namespace .* of pod shop\/web/)
})

test('a pod that goes while it is being asked about is not taken in', async () => {
  const answer = Promise.withResolvers<{ pod: Pod; namespace: Namespace }>()
  const { agent, store, states } = world({ fetch: () => answer.promise })
  store.upsert(pod)
  const added = agent.addSandbox(sandbox)
  store.remove(pod)
  answer.resolve({ pod, namespace: shop('3', 'ambient') })
  await expect(added).rejects.toThrow(/is gone/)
  expect(states()).toEqual([])
})

test('a pod of which only the plugin has told, and whose end lay between two watches, leaves all the same', async () => {
  let there = true
  const { agent, store, states } = world({
    fetch: async () => (there ? { pod, namespace: shop('3', 'ambient') } : undefined),
  })
  await agent.addSandbox(sandbox)
  // A list from before the pod.
  store.replacePods([])
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(states()).toEqual(['in'])
  there = false
  store.replacePods([])
  await vi.waitFor(() => expect(states()).toEqual([]))
})

test('a sandbox that was given up while the API was asked does not take the place of the next one', async () => {
  const late = Promise.withResolvers<void>()
  let asked = 0
  const { agent, paths } = world({
    fetch: async () => {
      if (asked++ === 0) await late.promise
      return { pod, namespace: shop('3', 'ambient') }
    },
  })
  const first = agent.addSandbox(sandbox)
  await agent.addSandbox({ ...sandbox, netns: newSandbox })
  late.resolve()
  await expect(first).rejects.toThrow(/another sandbox/)
  expect(paths.get('u')).toBe(newSandbox)
})

test('an answer that is older than what the watch has brought meanwhile does not undo it', async () => {
  const answer = Promise.withResolvers<{ pod: Pod; namespace: Namespace }>()
  const { agent, store } = world({ fetch: () => answer.promise })
  const added = agent.addSandbox(sandbox)
  store.upsertNamespace(shop('10'))
  answer.resolve({ pod, namespace: shop('9', 'ambient') })
  await added
  expect(store.namespaces.get('shop')?.metadata.resourceVersion).toBe('10')
})

test('ztunnel is given the namespace that was meant, though the pod gets another one while it waits', async () => {
  const { agent, paths } = world()
  await agent.addSandbox(sandbox)
  const sent = Promise.withResolvers<void>()
  let before = 0n
  let after = 0n
  const peer = {
    closed: never,
    add: async ({ nsFd }: { nsFd: number }) => {
      before = inodeOf(nsFd)
      await sent.promise
      after = inodeOf(nsFd)
    },
    snapshotSent: async () => undefined,
  } as unknown as ZdsPeer
  const introduced = agent.introduce(peer)
  await agent.addSandbox({ ...sandbox, netns: newSandbox })
  paths.clear()
  const reused = openNamespace('/proc/self/ns/uts')
  sent.resolve()
  await introduced
  closeFd(reused)
  expect(after).toBe(before)
})

test('a ztunnel that connects while a pod leaves is told that it has left', async () => {
  const { agent, store } = world()
  store.upsert(pod)
  await agent.addSandbox(sandbox)
  const told: string[] = []
  const peer = {
    closed: never,
    add: async () => {
      store.remove(pod)
      for (const worker of agent.workers()) await worker.settled(1000)
      told.push('add')
    },
    del: async () => void told.push('del'),
    snapshotSent: async () => void told.push('snapshot'),
  } as unknown as ZdsPeer
  await agent.introduce(peer)
  expect(told).toEqual(['add', 'del', 'snapshot'])
})

test('a list of enrolled namespaces that cannot be written keeps no pod out, and is written later', async () => {
  const lists: string[] = []
  let failures = 2
  const { agent, store } = world({
    enrolledNamespaces: (names) => {
      if (failures-- > 0) throw new Error('EROFS')
      lists.push(names.join())
    },
  })
  store.upsert(pod)
  store.upsertNamespace(shop('11', 'none'))
  expect(lists).toEqual([])
  agent.changed(undefined)
  expect(lists).toEqual([''])
})

test('a ztunnel that is the last one left is told of the pods that only another has been told of', async () => {
  const { agent } = world()
  await agent.addSandbox(sandbox)
  const told: string[] = []
  const peer = { closed: never, add: async ({ uid }: { uid: string }) => void told.push(uid) } as unknown as ZdsPeer
  await agent.tell(peer)
  expect(told).toEqual(['u'])
})

test('at the end a pod whose rules cannot be taken away keeps no other in its rules', async () => {
  const { agent, store } = world({
    fetch: async (_, name) => ({
      pod: { ...pod, metadata: { ...pod.metadata, name, uid: name } },
      namespace: shop('3', 'ambient'),
    }),
  })
  for (const name of ['a', 'b'])
    await agent.addSandbox({ ...sandbox, podName: name, podUid: name, netns: name === 'a' ? oldSandbox : newSandbox })
  for (const { pod: known } of agent.workers())
    store.upsert({ ...pod, metadata: { ...pod.metadata, name: known.name, uid: known.uid } })
  kernel.refused = inodeOf([...agent.workers()][0]!.nsFd!)
  kernel.captured = true
  expect(await agent.empty(0)).toEqual(['shop/a', 'shop/b'])
  expect(kernel.cleared).toBe(2)
})

test('a pod that cannot be looked at keeps no other out of the mesh, and is looked at again', async () => {
  const { store, paths, states } = world({ againMs: 20 })
  store.replaceNamespaces([shop('3')])
  for (const name of ['a', 'b']) {
    paths.set(name, oldSandbox)
    store.upsert({ ...pod, metadata: { ...pod.metadata, name, uid: name } })
  }
  expect(states()).toEqual([])
  kernel.failures = 1
  store.upsertNamespace(shop('4', 'ambient'))
  await vi.waitFor(() => expect(states()).toEqual(['in', 'in']))
})

test('a pod that cannot be looked at is looked at again once at a time, however often it changes', async () => {
  const { store, paths } = world({ againMs: 50 })
  paths.set('u', oldSandbox)
  const [looks, changes] = [1000, 20]
  kernel.unreadable = looks
  for (let i = 0; i < changes; i++) store.upsert(pod)
  await new Promise((resolve) => setTimeout(resolve, 220))
  const again = looks - kernel.unreadable - changes
  expect(again).toBeGreaterThan(0)
  expect(again).toBeLessThan(10)
})

test('a pod that a former run has taken in is led out, though it could not be looked at the first time', async () => {
  const { store, paths, states } = world({ againMs: 20 })
  paths.set('u', oldSandbox)
  kernel.captured = true
  kernel.unreadable = 1
  store.upsert({ ...pod, metadata: { ...pod.metadata, labels: { [labels.mode]: 'none' } } })
  await vi.waitFor(() => expect(kernel.cleared).toBe(1))
  expect(states()).toEqual([])
})

test('a pod of a former run whose namespace is not to be found is kept where it is', async () => {
  const { agent, store } = world()
  store.upsert({ ...pod, metadata: { ...pod.metadata, annotations: { [annotations.redirection]: 'enabled' } } })
  const told: string[] = []
  const peer = {
    closed: never,
    keep: async (uid: string) => void told.push(`keep ${uid}`),
    snapshotSent: async () => void told.push('snapshot'),
  } as unknown as ZdsPeer
  await agent.introduce(peer)
  expect(told).toEqual(['keep u', 'snapshot'])
})

test('a pod that a ztunnel has refused when it came is given to it again', async () => {
  const { agent } = world()
  await agent.addSandbox(sandbox)
  expect(kernel.added).toBe(1)
  const peer = {
    closed: never,
    add: async () => {
      throw new Error('cannot listen')
    },
    snapshotSent: async () => undefined,
  } as unknown as ZdsPeer
  await agent.introduce(peer)
  await vi.waitFor(() => expect(kernel.added).toBe(2))
})

test('a ztunnel that refuses a pod is told of the others at once, though the Kubernetes API takes no word of it', async () => {
  const { agent } = world()
  await agent.addSandbox(sandbox)
  kernel.silent = true
  const told: string[] = []
  const peer = {
    closed: never,
    add: async () => {
      throw new Error('cannot listen')
    },
    snapshotSent: async () => void told.push('snapshot'),
  } as unknown as ZdsPeer
  void agent.introduce(peer)
  await vi.waitFor(() => expect(told).toEqual(['snapshot']))
  await vi.waitFor(() => expect(kernel.added).toBe(2))
})

test('a pod that a list has left out and the next one tells again is told to the next ztunnel', async () => {
  const { agent, store, paths, states } = world()
  store.replacePods([pod])
  await agent.addSandbox(sandbox)
  store.replacePods([])
  paths.set('u', oldSandbox)
  store.replacePods([pod])
  await vi.waitFor(() => expect(states()).toEqual(['in']))
  await new Promise((resolve) => setTimeout(resolve, 20))
  const told: string[] = []
  const peer = {
    closed: never,
    add: async ({ uid }: { uid: string }) => void told.push(uid),
    keep: async () => undefined,
    snapshotSent: async () => undefined,
  } as unknown as ZdsPeer
  await agent.introduce(peer)
  expect(told).toEqual(['u'])
})

test('a pod that a list has left out and of which the plugin tells again is told to the next ztunnel', async () => {
  const { agent, store, states } = world()
  store.replacePods([pod])
  await agent.addSandbox(sandbox)
  store.replacePods([])
  await agent.addSandbox({ ...sandbox, netns: oldSandbox })
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(states()).toEqual(['in'])
})

test('so does one that takes long to get back into the mesh', async () => {
  vi.useFakeTimers()
  try {
    const { agent, store, states } = world()
    store.replacePods([pod])
    await agent.addSandbox(sandbox)
    const held = Promise.withResolvers<void>()
    kernel.held = held.promise
    store.replacePods([])
    agent.addSandbox({ ...sandbox, netns: oldSandbox }).catch(() => undefined)
    await vi.advanceTimersByTimeAsync(70_000)
    held.resolve()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(states()).toEqual(['in'])
  } finally {
    vi.useRealTimers()
  }
})

test('a sandbox of which only the API tells is captured too, by its address', async () => {
  const { agent, store, paths } = world()
  await agent.addSandbox(sandbox)
  const started = (podIP: string): Pod => ({ ...pod, status: { phase: 'Running', podIP } })
  store.upsert(started('10.0.0.1'))
  const [worker] = agent.workers()
  await worker!.settled(1000)
  const before = inodeOf(worker!.nsFd!)
  expect(kernel.added).toBe(1)
  // The plugin's entry was missing for a moment, as when the node's network is upgraded.
  paths.set('u', newSandbox)
  store.upsert(started('10.0.0.9'))
  await vi.waitFor(() => expect(kernel.added).toBe(2))
  expect(inodeOf(worker!.nsFd!)).not.toBe(before)
})
