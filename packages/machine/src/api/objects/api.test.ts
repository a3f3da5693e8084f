import { expect, test } from 'vitest'
import { installAdmission } from '../kinds/admission.ts'
import { startCollector } from '../kinds/collector.ts'
import { definitionsKey, startCustomResources } from '../kinds/custom-resources.ts'
import { Api } from './api.ts'
import type { JsonMap, KubeObject } from './object.ts'
import { Store } from './store.ts'

const tick = (ms = 5): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

function newApi(store?: Store) {
  const api = new Api(store)
  installAdmission(api)
  startCustomResources(api, () => {})
  startCollector(api, () => {})
  api.create(api.resource('/namespaces'), undefined, { metadata: { name: 'n' } })
  const pods = api.resource('/pods')
  const configMaps = api.resource('/configmaps')
  return { api, pods, configMaps }
}

const pod = (name: string, more: JsonMap = {}): JsonMap => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, ...((more.metadata as JsonMap | undefined) ?? {}) },
  spec: { containers: [{ name: 'c', image: 'i' }], ...((more.spec as JsonMap | undefined) ?? {}) },
})
const map = (name: string, data: JsonMap, metadata: JsonMap = {}): JsonMap => ({
  metadata: { name, ...metadata },
  data,
})
const codeOf = (work: () => unknown): number | undefined => {
  try {
    work()
  } catch (cause) {
    return (cause as { code?: number }).code
  }
  return undefined
}

test('creation gives identity, defaults and a first generation', () => {
  const { api, pods } = newApi()
  const made = api.create(pods, 'n', pod('a')) as KubeObject & { spec: JsonMap; status: JsonMap }
  expect(made.metadata).toMatchObject({ namespace: 'n', generation: 1, uid: expect.any(String) })
  expect(made.spec).toMatchObject({
    restartPolicy: 'Always',
    serviceAccountName: 'default',
    terminationGracePeriodSeconds: 30,
  })
  expect(made.status.phase).toBe('Pending')
})

test.each<[string, number, (a: ReturnType<typeof newApi>) => unknown]>([
  ['a second object of one name', 409, ({ api, pods }) => api.create(pods, 'n', pod('x'))],
  ['a namespace that does not exist', 404, ({ api, pods }) => api.create(pods, 'none', pod('y'))],
  ['a name with capitals', 422, ({ api, pods }) => api.create(pods, 'n', pod('Y'))],
  [
    'another kind than the path',
    400,
    ({ api, pods }) => api.create(pods, 'n', { kind: 'Service', metadata: { name: 'y' } }),
  ],
  ['a wrong type', 422, ({ api, pods }) => api.create(pods, 'n', pod('y', { spec: { hostNetwork: 'yes' } }))],
  [
    'a stale resourceVersion',
    409,
    ({ api, configMaps }) => api.update(configMaps, 'n', 'm', map('m', {}, { resourceVersion: '1' })),
  ],
  [
    'a stale resourceVersion in a patch',
    409,
    ({ api, configMaps }) => api.patch(configMaps, 'n', 'm', { metadata: { resourceVersion: '1' } }, 'merge'),
  ],
  [
    'another uid in a patch',
    409,
    ({ api, configMaps }) => api.patch(configMaps, 'n', 'm', { metadata: { uid: 'z' } }, 'merge'),
  ],
  [
    'a changed pod command',
    422,
    ({ api, pods }) =>
      api.patch(pods, 'n', 'x', { spec: { containers: [{ name: 'c', command: ['x'] }] } }, 'strategic'),
  ],
  ['the wrong uid in a deletion', 409, ({ api, pods }) => api.delete(pods, 'n', 'x', { preconditions: { uid: 'z' } })],
])('refuses %s with %i', (_name, code, work) => {
  const world = newApi()
  world.api.create(world.pods, 'n', pod('x'))
  world.api.create(world.configMaps, 'n', map('m', { a: 'b' }))
  expect(codeOf(() => work(world))).toBe(code)
})

test('unknown fields: an error when strict, a warning else, dropped in any case', () => {
  const { api, pods } = newApi()
  const odd = pod('a', { spec: { contianers: [] } })
  expect(() => api.create(pods, 'n', odd, { fieldValidation: 'Strict' })).toThrow(
    /strict decoding error: unknown field "spec.contianers"/,
  )
  const warnings: string[] = []
  const made = api.create(pods, 'n', odd, { warn: (text) => warnings.push(text) }) as KubeObject & { spec: JsonMap }
  expect(warnings).toEqual(['unknown field "spec.contianers"'])
  expect(made.spec).not.toHaveProperty('contianers')
})

test('the generation counts changes of the spec, not of status or labels; equal writes change nothing', () => {
  const { api } = newApi()
  const services = api.resource('/services')
  api.create(services, 'n', { metadata: { name: 's' }, spec: { ports: [{ port: 80 }] } })
  const generation = (): number | undefined => api.get(services, 'n', 's').metadata.generation
  api.patch(services, 'n', 's', { metadata: { labels: { a: 'b' } } }, 'merge')
  api.patch(services, 'n', 's', { status: { loadBalancer: { ingress: [{ ip: '1.2.3.4' }] } } }, 'merge', {
    subresource: 'status',
  })
  expect(generation()).toBe(1)
  const version = api.get(services, 'n', 's').metadata.resourceVersion
  api.patch(services, 'n', 's', { spec: { ports: [{ port: 80, protocol: 'TCP' }] } }, 'strategic')
  expect(api.get(services, 'n', 's').metadata.resourceVersion).toBe(version)
  const changed = api.patch(
    services,
    'n',
    's',
    { spec: { selector: { app: 'x' } }, status: {} },
    'merge',
  ) as KubeObject & { status: unknown }
  expect(generation()).toBe(2)
  expect(changed.status).toEqual({ loadBalancer: { ingress: [{ ip: '1.2.3.4' }] } })
})

test('a Service keeps its address when a client leaves it out', () => {
  const { api } = newApi()
  const services = api.resource('/services')
  api.create(services, 'n', { metadata: { name: 's' }, spec: { clusterIP: '10.96.0.9', ports: [{ port: 80 }] } })
  const updated = api.update(services, 'n', 's', {
    metadata: { name: 's' },
    spec: { ports: [{ port: 81 }] },
  }) as KubeObject & { spec: JsonMap }
  expect(updated.spec).toMatchObject({
    clusterIP: '10.96.0.9',
    clusterIPs: ['10.96.0.9'],
    ports: [{ port: 81, targetPort: 81 }],
  })
  expect(codeOf(() => api.patch(services, 'n', 's', { spec: { clusterIP: '10.96.0.10' } }, 'merge'))).toBe(422)
})

test('a running pod is marked and waits for its kubelet; another goes at once', () => {
  const { api, pods } = newApi()
  api.create(pods, 'n', pod('waiting'))
  api.delete(pods, 'n', 'waiting')
  expect(api.find('/pods', 'n', 'waiting')).toBeUndefined()
  api.create(pods, 'n', pod('placed', { spec: { nodeName: 'node1', terminationGracePeriodSeconds: 5 } }))
  api.delete(pods, 'n', 'placed')
  expect(api.find('/pods', 'n', 'placed')?.metadata).toMatchObject({
    deletionGracePeriodSeconds: 5,
    deletionTimestamp: expect.any(String),
  })
  api.delete(pods, 'n', 'placed', { gracePeriodSeconds: 0 })
  expect(api.find('/pods', 'n', 'placed')).toBeUndefined()
})

test('finalizers hold an object until the last is taken away', () => {
  const { api, configMaps } = newApi()
  api.create(configMaps, 'n', map('m', {}, { finalizers: ['a', 'b'] }))
  api.delete(configMaps, 'n', 'm')
  api.patch(configMaps, 'n', 'm', { metadata: { finalizers: ['b'] } }, 'merge')
  expect(api.find('/configmaps', 'n', 'm')?.metadata.deletionTimestamp).toBeDefined()
  api.patch(configMaps, 'n', 'm', { metadata: { finalizers: null } }, 'merge')
  expect(api.find('/configmaps', 'n', 'm')).toBeUndefined()
})

test('what an owner owned goes with it, unless it is orphaned or has another owner', async () => {
  const { api, configMaps } = newApi()
  const owner = (name: string): JsonMap => {
    const { uid } = api.create(configMaps, 'n', map(name, {})).metadata
    return { apiVersion: 'v1', kind: 'ConfigMap', name, uid }
  }
  const [a, b] = [owner('a'), owner('b')]
  api.create(configMaps, 'n', map('of-a', {}, { ownerReferences: [a] }))
  api.create(configMaps, 'n', map('of-both', {}, { ownerReferences: [a, b] }))
  api.create(configMaps, 'n', map('of-b', {}, { ownerReferences: [b] }))
  api.delete(configMaps, 'n', 'a')
  await tick()
  expect(api.list('/configmaps', 'n').map((object) => object.metadata.name)).toEqual(['b', 'of-both', 'of-b'])
  api.delete(configMaps, 'n', 'b', { propagationPolicy: 'Orphan' })
  await tick()
  expect(api.find('/configmaps', 'n', 'of-b')?.metadata.ownerReferences).toEqual([])
})

test('a deleted namespace empties itself, waits for pods, and takes nothing new', async () => {
  const { api, pods, configMaps } = newApi()
  api.create(configMaps, 'n', map('m', {}))
  api.create(pods, 'n', pod('a', { spec: { nodeName: 'node1' } }))
  api.delete(api.resource('/namespaces'), undefined, 'n')
  await tick()
  expect(api.find('/configmaps', 'n', 'm')).toBeUndefined()
  expect(api.find('/pods', 'n', 'a')?.metadata.deletionTimestamp).toBeDefined()
  expect(codeOf(() => api.create(configMaps, 'n', map('m', {})))).toBe(403)
  expect(api.find('/namespaces', undefined, 'n')).toBeDefined()
  api.delete(pods, 'n', 'a', { gracePeriodSeconds: 0 })
  await tick()
  expect(api.find('/namespaces', undefined, 'n')).toBeUndefined()
})

test('the history answers watches, and 410 beyond it', () => {
  const { api, configMaps } = newApi(new Store(4))
  const first = api.store.version
  for (let index = 0; index < 3; index++) api.create(configMaps, 'n', map(`m${index}`, {}))
  expect(api.store.since('/configmaps', first).map((event) => event.type)).toEqual(['ADDED', 'ADDED', 'ADDED'])
  for (let index = 3; index < 9; index++) api.create(configMaps, 'n', map(`m${index}`, {}))
  expect(codeOf(() => api.store.since('/configmaps', first))).toBe(410)
})

test('a CustomResourceDefinition is served at once, checked, and takes its objects with it', () => {
  const { api } = newApi()
  const definition = {
    metadata: { name: 'things.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'things', kind: 'Thing' },
      versions: ['v1', 'v1beta1'].map((name) => ({
        name,
        served: true,
        storage: name === 'v1',
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: { type: 'object', required: ['size'], properties: { size: { type: 'integer' } } },
              status: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
            },
          },
        },
      })),
    },
  }
  const made = api.create(api.resource(definitionsKey), undefined, definition) as KubeObject & {
    status: { conditions: JsonMap[] }
  }
  expect(made.status.conditions).toContainEqual(expect.objectContaining({ type: 'Established', status: 'True' }))
  const things = api.resources.byPath('example.com', 'v1beta1', 'things')!
  expect(codeOf(() => api.create(things, 'n', { metadata: { name: 'a' }, spec: { size: 'x' } }))).toBe(422)
  api.create(things, 'n', { metadata: { name: 'a', labels: { k: 'v' } }, spec: { size: 1 }, status: { dropped: true } })
  const asV1 = api.get(api.resources.byPath('example.com', 'v1', 'things')!, 'n', 'a') as KubeObject & {
    status?: unknown
  }
  expect(asV1).toMatchObject({ apiVersion: 'example.com/v1', metadata: { labels: { k: 'v' } } })
  expect(asV1.status).toBeUndefined()
  api.patch(things, 'n', 'a', { metadata: { labels: { k: 'other' } }, status: { ok: true } }, 'merge', {
    subresource: 'status',
  })
  expect(api.get(things, 'n', 'a')).toMatchObject({
    metadata: { labels: { k: 'v' }, generation: 1 },
    status: { ok: true },
  })
  expect(codeOf(() => api.patch(things, 'n', 'a', {}, 'strategic'))).toBe(400)
  api.delete(api.resource(definitionsKey), undefined, 'things.example.com')
  expect(api.resources.byPath('example.com', 'v1', 'things')).toBeUndefined()
  expect(api.list('example.com/things')).toEqual([])
})
