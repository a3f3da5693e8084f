import { expect, test } from 'vitest'
import type { Pod } from '../types.ts'
import { planDaemonSet } from './daemon-sets.ts'

/** "old@n1 ready", "new@n2", "old@n1 ready leaving", "old@n1 over" */
function pod(text: string): Pod {
  const [place, ...states] = text.split(' ')
  const [hash, nodeName] = place!.split('@')
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: place!,
      labels: { 'controller-revision-hash': hash! },
      ...(states.includes('leaving') ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    spec: { nodeName: nodeName!, containers: [] },
    status: {
      phase: states.includes('over') ? 'Failed' : 'Running',
      conditions: states.includes('ready') ? [{ type: 'Ready', status: 'True' }] : [],
    },
  } as unknown as Pod
}

const gap = { maxSurge: 0, maxUnavailable: 1, onDelete: false }
const surge = { maxSurge: 1, maxUnavailable: 0, onDelete: false }
const nodes = ['n1', 'n2']

test.each([
  ['nothing there', gap, [], [], ['n1', 'n2'], []],
  ['made, and not seen yet', gap, [], ['n1'], ['n2'], []],
  ['all new', surge, ['new@n1 ready', 'new@n2 ready'], [], [], []],
  ['without surge one goes', gap, ['old@n1 ready', 'old@n2 ready'], [], [], ['old@n1']],
  ['and the next only when its successor is ready', gap, ['new@n1', 'old@n2 ready'], [], [], []],
  ['a leaving pod holds its place', gap, ['old@n1 leaving', 'old@n2 ready'], [], [], []],
  ['what is not ready goes at once', gap, ['old@n1', 'old@n2 ready'], [], [], ['old@n1']],
  ['with surge one comes first', surge, ['old@n1 ready', 'old@n2 ready'], [], ['n1'], []],
  ['and no second one meanwhile', surge, ['old@n1 ready', 'new@n1', 'old@n2 ready'], [], [], []],
  ['nor before it is seen', surge, ['old@n1 ready', 'old@n2 ready'], ['n1'], [], []],
  [
    'the old one goes when the new one is ready',
    surge,
    ['old@n1 ready', 'new@n1 ready', 'old@n2 ready'],
    [],
    ['n2'],
    ['old@n1'],
  ],
  ['one that drains holds nobody up', surge, ['old@n1 leaving', 'new@n1 ready', 'old@n2 ready'], [], ['n2'], []],
  ['one that has ended makes room', surge, ['new@n1 over', 'new@n2 ready'], [], [], ['new@n1']],
  ['of a node that is gone', surge, ['new@n1 ready', 'new@n2 ready', 'new@n3 ready'], [], [], ['new@n3']],
  ['OnDelete waits for somebody', { ...gap, onDelete: true }, ['old@n1 ready', 'old@n2 ready'], [], [], []],
] as const)('%s', (_title, limits, pods, awaited, create, remove) => {
  const plan = planDaemonSet(nodes, pods.map(pod), 'new', limits, new Set(awaited))
  expect(plan.create).toEqual(create)
  expect(plan.remove.map((one) => one.metadata.name)).toEqual(remove)
})
