import { expect, test } from 'vitest'
import { installAdmission } from '../kinds/admission.ts'
import { Api } from './api.ts'
import type { JsonMap, KubeObject } from './object.ts'

type Deployment = KubeObject & {
  spec: { replicas: number; paused?: boolean; template: { spec: { containers: JsonMap[] } } }
}

function world() {
  const api = new Api()
  installAdmission(api)
  api.create(api.resource('/namespaces'), undefined, { metadata: { name: 'n' } })
  const resource = api.resource('apps/deployments')
  const apply = (manager: string, config: JsonMap, force = false): Deployment =>
    api.patch(
      resource,
      'n',
      'd',
      { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' }, ...config },
      'apply',
      {
        fieldManager: manager,
        force,
      },
    ) as Deployment
  return { api, resource, apply }
}

const full = (containers: JsonMap[], more: JsonMap = {}): JsonMap => ({
  spec: {
    selector: { matchLabels: { app: 'd' } },
    template: { metadata: { labels: { app: 'd' } }, spec: { containers } },
    ...more,
  },
})
const names = (deployment: Deployment): unknown[] => deployment.spec.template.spec.containers.map((one) => one.name)
const managers = (deployment: Deployment): string[] =>
  (deployment.metadata.managedFields ?? []).map((entry) => `${entry.manager}:${entry.operation}`)

test('an apply without changes writes nothing', () => {
  const { apply } = world()
  const config = full([{ name: 'a', image: '1' }], { replicas: 2 })
  const first = apply('one', config)
  expect(apply('one', config).metadata.resourceVersion).toBe(first.metadata.resourceVersion)
  expect(managers(first)).toEqual(['one:Apply'])
})

test('what a manager no longer wants goes; what nobody applied stays', () => {
  const { api, resource, apply } = world()
  apply(
    'one',
    full(
      [
        { name: 'a', image: '1' },
        { name: 'b', image: '1' },
      ],
      { replicas: 2, paused: true },
    ),
  )
  api.patch(resource, 'n', 'd', { metadata: { labels: { by: 'hand' } } }, 'merge', { fieldManager: 'hand' })
  const after = apply('one', full([{ name: 'a', image: '1' }], { replicas: 2 }))
  expect(names(after)).toEqual(['a'])
  expect(after.spec.paused).toBeUndefined()
  expect(after.metadata.labels).toEqual({ by: 'hand' })
})

test('two managers own different elements of one list, and neither disturbs the other', () => {
  const { apply } = world()
  apply('one', full([{ name: 'a', image: '1' }]))
  const second = apply('two', { spec: { template: { spec: { containers: [{ name: 'b', image: '2' }] } } } })
  expect(names(second)).toEqual(['a', 'b'])
  expect(names(apply('one', full([{ name: 'a', image: '3' }])))).toEqual(['a', 'b'])
  const version = apply('two', { spec: { template: { spec: { containers: [{ name: 'b', image: '2' }] } } } }).metadata
    .resourceVersion
  expect(apply('one', full([{ name: 'a', image: '3' }])).metadata.resourceVersion).toBe(version)
  expect(names(apply('two', { spec: {} }))).toEqual(['a'])
})

test('another value for a field of another manager is a conflict that names both, unless forced', () => {
  const { api, resource, apply } = world()
  apply('one', full([{ name: 'a', image: '1' }], { replicas: 1 }))
  api.patch(resource, 'n', 'd', { spec: { replicas: 4 } }, 'merge', { fieldManager: 'scaler' })
  expect(() => apply('one', full([{ name: 'a', image: '1' }], { replicas: 1 }))).toThrow(
    /conflict with "scaler" using apps\/v1: \.spec\.replicas/,
  )
  const forced = apply('one', full([{ name: 'a', image: '1' }], { replicas: 1 }), true)
  expect(forced.spec.replicas).toBe(1)
  expect(managers(forced)).toEqual(['one:Apply'])
})

test('the same value is shared, and survives one of its managers', () => {
  const { apply } = world()
  apply('one', full([{ name: 'a', image: '1' }], { replicas: 3 }))
  apply('two', { spec: { replicas: 3 } })
  expect(apply('one', full([{ name: 'a', image: '1' }])).spec.replicas).toBe(3)
})

test('a new object needs all of its fields, a part of an existing one does not', () => {
  const { apply } = world()
  expect(() => apply('one', { spec: { replicas: 3 } })).toThrow(/spec.selector: Required value/)
  apply('one', full([{ name: 'a', image: '1' }]))
  expect(apply('two', { spec: { replicas: 3 } }).spec.replicas).toBe(3)
})

test('status applied by one manager is its own', () => {
  const { api, resource, apply } = world()
  apply('one', full([{ name: 'a', image: '1' }]))
  const status = (manager: string, type: string): KubeObject =>
    api.patch(
      resource,
      'n',
      'd',
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'd' },
        status: { conditions: [{ type, status: 'True' }] },
      },
      'apply',
      { fieldManager: manager, subresource: 'status' },
    )
  status('x', 'A')
  const both = status('y', 'B') as KubeObject & { status: { conditions: JsonMap[] } }
  expect(both.status.conditions.map((condition) => condition.type)).toEqual(['A', 'B'])
  expect(both.metadata.managedFields?.map((entry) => [entry.manager, entry.subresource])).toEqual([
    ['one', undefined],
    ['x', 'status'],
    ['y', 'status'],
  ])
})
