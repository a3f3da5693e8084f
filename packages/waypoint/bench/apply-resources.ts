// The resources of apply.ts: routes of one gateway in the three ways that hostnames can be spread, and what else they need.
import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { l7, typeUrls, workload } from '@wishbone/proto'

export const gateway = 'gateway/bench/edge/http'
export type Hosts = 'many' | 'one' | 'none'

export interface Resource {
  readonly name: string
  readonly version: string
  readonly bytes: Uint8Array
}

/** What one response holds; the thread that sends it makes it, so that the other one has none of the garbage. */
export type Order =
  | {
      readonly kind: 'routes'
      readonly hosts: Hosts
      readonly first: number
      readonly count: number
      readonly total: number
      readonly version: string
      readonly port: number
    }
  | { readonly kind: 'listener'; readonly time: number }
  | { readonly kind: 'workloads'; readonly first: number; readonly count: number; readonly time: number }
  | { readonly kind: 'service' }

export function resourcesOf(order: Order): { readonly typeUrl: string; readonly resources: readonly Resource[] } {
  switch (order.kind) {
    case 'routes': {
      const { first, total } = order
      const resources = range(order.count).map((offset) => routeOf((first + offset) % total, order.version, order))
      return { typeUrl: typeUrls.route, resources }
    }
    case 'listener':
      return { typeUrl: typeUrls.listener, resources: [listenerOf(order.time)] }
    case 'workloads':
      return {
        typeUrl: typeUrls.address,
        resources: range(order.count).map((offset) => workloadOf(order.first + offset, order.time)),
      }
    case 'service':
      return { typeUrl: typeUrls.address, resources: [serviceAddress()] }
  }
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index)

export function hostOf(hosts: Hosts, index: number): string {
  return hosts === 'none' ? '' : hosts === 'one' ? 'host.example' : `host-${index % 100}.example`
}

function resource<D extends DescMessage>(
  name: string,
  version: string,
  schema: D,
  value: MessageInitShape<D>,
): Resource {
  return { name, version, bytes: toBinary(schema, create(schema, value)) }
}

function routeOf(index: number, version: string, { hosts, port }: { hosts: Hosts; port: number }): Resource {
  const name = `HTTPRoute/bench/route-${index}/0`
  const host = hostOf(hosts, index)
  return resource(name, version, l7.RouteSchema, {
    name,
    source: { kind: 'HTTPRoute', namespace: 'bench', name: `route-${index}`, section: '0', generation: 1n },
    parents: [{ listener: gateway, hostnames: host === '' ? [] : [{ effective: host, original: host }] }],
    precedence: { createdUnixMs: 1_700_000_000_000n, namespace: 'bench', name: `route-${index}`, rule: 0 },
    matches: [{ path: { kind: { case: 'prefix', value: `/route-${index}` } } }],
    filters: [{ kind: { case: 'requestHeaders', value: { set: [{ name: 'x-version', value: version }] } } }],
    backends: [
      {
        weight: 1,
        backend: {
          target: {
            case: 'service',
            value: { namespace: 'bench', hostname: 'app.bench.svc.cluster.local', port, protocol: l7.Protocol.HTTP },
          },
        },
      },
    ],
  })
}

function listenerOf(time: number): Resource {
  return resource(gateway, `${time}`, l7.ListenerSchema, {
    name: gateway,
    source: { kind: 'Gateway', namespace: 'bench', name: 'edge', section: 'http', generation: BigInt(time) },
    protocol: l7.Protocol.HTTP,
    bound: { case: 'gateway', value: { port: 80, hostname: '' } },
    hasRoutes: true,
  })
}

function serviceAddress(): Resource {
  return resource('bench/app.bench.svc.cluster.local', '1', workload.AddressSchema, {
    type: {
      case: 'service',
      value: {
        name: 'app',
        namespace: 'bench',
        hostname: 'app.bench.svc.cluster.local',
        ports: [{ servicePort: 80, targetPort: 8080 }],
      },
    },
  })
}

function workloadOf(index: number, time: number): Resource {
  const uid = `Kubernetes//Pod/bench/app-${index}`
  return resource(uid, `${time}`, workload.AddressSchema, {
    type: {
      case: 'workload',
      value: {
        uid,
        name: `app-${index}`,
        namespace: 'bench',
        addresses: [new Uint8Array([10, 244, index >> 8, index & 255])],
        status: time % 2 === 0 ? workload.WorkloadStatus.HEALTHY : workload.WorkloadStatus.UNHEALTHY,
        services: { 'bench/app.bench.svc.cluster.local': { ports: [{ servicePort: 80, targetPort: 8080 }] } },
      },
    },
  })
}
