import { expect, test } from 'vitest'
import type { StatusOf } from '../model/index.ts'
import { mergeStatus } from './merge.ts'

const apiVersion = 'gateway.networking.k8s.io/v1'
const now = '2030-01-01T00:00:00Z'
const entry = (member: string, controllerName: string, name: string) => ({
  [member]: { name },
  controllerName,
  conditions: [],
})

test.each([
  ['BackendTLSPolicy', 'ancestors', 'ancestorRef', 16],
  ['HTTPRoute', 'parents', 'parentRef', 32],
])('%s: what has no room beside the entries of others is left out, and they stay', (kind, member, ref, room) => {
  const many = (controller: string) =>
    Array.from({ length: room - 4 }, (_, i) => entry(ref, controller, `${controller}-${i}`))
  const object = { apiVersion, kind, metadata: { name: 'p', namespace: 'shop' }, status: { [member]: many('theirs') } }
  const place = { apiVersion, kind, namespace: 'shop', name: 'p', generation: 1 }
  const wanted = { ...place, [member]: many('ours'), parentControllers: ['ours'] } as unknown as StatusOf
  const merged = mergeStatus(object, wanted, now)
  const written = merged.status[member] as readonly { readonly controllerName: string }[]
  expect(written.map(({ controllerName }) => controllerName)).toEqual([
    ...Array.from({ length: room - 4 }, () => 'theirs'),
    ...Array.from({ length: 4 }, () => 'ours'),
  ])
  expect(mergeStatus({ ...object, status: merged.status }, wanted, now).equal).toBe(true)
})

test('a policy that has moved from workloads to a waypoint no longer says what held for workloads', () => {
  const place = { apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy' }
  const condition = (type: string, status: 'True' | 'False') =>
    ({ type, status, reason: 'R', message: '', observedGeneration: 2, lastTransitionTime: now }) as const
  const theirs = condition('example.org/Audited', 'True')
  const object = {
    ...place,
    metadata: { name: 'p', namespace: 'shop' },
    status: { conditions: [condition('ZtunnelAccepted', 'True'), theirs] },
  }
  const wanted = {
    ...place,
    namespace: 'shop',
    name: 'p',
    generation: 2,
    conditions: [condition('WaypointAccepted', 'False')],
  }
  const merged = mergeStatus(object, wanted, now)
  expect(merged.equal).toBe(false)
  expect(merged.status['conditions']).toEqual([theirs, condition('WaypointAccepted', 'False')])
})
