import type { KubeObject } from '@wishbone/runtime/kube'
import { describe, expect, test, vi } from 'vitest'
import { Complaints, complaintsOf } from './complaints.ts'

const route = (status: object | undefined, spec: object = { parentRefs: [{ name: 'web' }] }): KubeObject =>
  ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'r', namespace: 'shop' },
    spec,
    ...(status ? { status } : {}),
  }) as KubeObject

const unresolved = { type: 'ResolvedRefs', status: 'False', reason: 'BackendNotFound', message: 'no Service shop/x' }

describe('complaintsOf', () => {
  test.each([
    {
      name: 'a route that nobody looks at names its parent',
      object: route(undefined),
      said: [expect.stringContaining('Gateway shop/web')],
    },
    {
      name: 'a false condition gives its message and reason',
      object: route({ parents: [{ parentRef: { name: 'web' }, conditions: [unresolved] }] }),
      said: ['no Service shop/x (ResolvedRefs: BackendNotFound)'],
    },
    {
      name: 'what passes by itself is no complaint',
      object: route({
        parents: [
          { parentRef: { name: 'web' }, conditions: [{ type: 'Programmed', status: 'False', reason: 'Pending' }] },
        ],
      }),
      said: [],
    },
    {
      name: 'a policy tells what is wrong on a Gateway',
      object: route({ ancestors: [{ ancestorRef: { name: 'web' }, conditions: [unresolved] }] }, {}),
      said: ['no Service shop/x (ResolvedRefs: BackendNotFound)'],
    },
    {
      name: 'a listener is named, and two conditions that say the same are one complaint',
      object: route(
        {
          listeners: [
            {
              name: 'https',
              conditions: [
                { type: 'Programmed', status: 'False', reason: 'Invalid', message: 'bad certificate' },
                { type: 'ResolvedRefs', status: 'False', reason: 'InvalidCertificateRef', message: 'bad certificate' },
              ],
            },
          ],
        },
        {},
      ),
      said: ['listener https: bad certificate (ResolvedRefs: InvalidCertificateRef)'],
    },
    {
      name: 'a Gateway whose class is nobody’s',
      object: {
        ...route(
          { conditions: [{ type: 'Accepted', status: 'Unknown', reason: 'Pending' }] },
          { gatewayClassName: 'x' },
        ),
        kind: 'Gateway',
      },
      said: ['nothing serves its class x; use wishbone, or wishbone-waypoint for a waypoint'],
    },
  ])('$name', ({ object, said }) => expect(complaintsOf(object)).toEqual(said))
})

describe('a waypoint that does not exist', () => {
  const service = (labels: Record<string, string>): KubeObject =>
    ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace: 'shop', labels },
      spec: {},
      status: {
        conditions: [
          { type: 'istio.io/WaypointBound', status: 'False', reason: 'WaypointMissing', message: 'no waypoint shop/w' },
        ],
      },
    }) as KubeObject
  const namespace: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } }
  const eventOn = (kind: string, name: string, lastTimestamp: string) => ({
    metadata: { name: `${name}.1`, uid: `${kind}${name}` },
    involvedObject: {
      apiVersion: 'v1',
      kind,
      name,
      ...(kind === 'Namespace' ? { namespace: '' } : { namespace: 'shop' }),
    },
    source: { component: 'wishbone-controller' },
    reason: 'WaypointMissing',
    message: 'no waypoint shop/w',
    lastTimestamp,
  })

  test('is told of the Service that names it, and not of each in a namespace that does', () => {
    expect(complaintsOf(service({ 'istio.io/use-waypoint': 'w' }))).toEqual([
      'no waypoint shop/w (istio.io/WaypointBound: WaypointMissing)',
    ])
    expect(complaintsOf(service({}))).toEqual([])
  })

  test('is told of namespaces and pods by their Events, each once', async () => {
    let items = [eventOn('Namespace', 'shop', 't1'), eventOn('Pod', 'web-1', 't1'), eventOn('Service', 'web', 't1')]
    const [warn, warnOf] = [vi.fn(), vi.fn()]
    const complaints = new Complaints({
      client: { kube: { get: async () => ({ items }) } } as never,
      pathOf: async () => '/x',
      warn,
      warnOf,
    })
    const loaded = { object: namespace, place: { file: 'a.yaml', line: 1 } }
    complaints.follow([loaded])
    await complaints.look()
    await complaints.look()
    expect(warn.mock.calls).toEqual([[loaded, 'no waypoint shop/w (WaypointMissing)']])
    expect(warnOf.mock.calls).toEqual([['Pod shop/web-1', 'no waypoint shop/w (WaypointMissing)']])
    items = [eventOn('Namespace', 'shop', 't2')]
    await complaints.look()
    expect(warn).toHaveBeenCalledTimes(2)
  })
})

test('a complaint is said once it has stood for two looks, and again only after it was gone', async () => {
  let live = route({ parents: [{ parentRef: { name: 'web' }, conditions: [unresolved] }] })
  const warn = vi.fn()
  const complaints = new Complaints({
    client: { kube: { get: async (path: string) => (path === '/x' ? live : { items: [] }) } } as never,
    pathOf: async () => '/x',
    warn,
    warnOf: vi.fn(),
  })
  complaints.follow([{ object: live, place: { file: 'a.yaml', line: 1 } }])
  const seen: number[] = []
  const look = async (): Promise<void> => {
    await complaints.look()
    seen.push(warn.mock.calls.length)
  }
  for (let count = 0; count < 3; count++) await look()
  const bad = live
  live = route({ parents: [{ parentRef: { name: 'web' }, conditions: [] }] })
  await look()
  live = bad
  for (let count = 0; count < 2; count++) await look()
  expect(seen).toEqual([0, 1, 1, 1, 1, 2])
})
