// How the machine's own parts (kubelet, controllers, loader) talk to the API server: plain HTTP on its admin socket,
// as clients like any other.
import { isStatus, KubeClient, type ResourceKind, resourcePath, socketConnection } from '@wishbone/runtime/kube'
import type { KubeObject } from '../api/objects/object.ts'
import { socketPath as short } from '../socket-path.ts'

const core = (kind: string, plural: string, namespaced = true): ResourceKind => ({
  apiVersion: 'v1',
  kind,
  plural,
  namespaced,
})
const apps = (kind: string, plural: string): ResourceKind => ({ apiVersion: 'apps/v1', kind, plural, namespaced: true })

/** The kinds that the machine itself works with. */
export const resources = {
  namespaces: core('Namespace', 'namespaces', false),
  nodes: core('Node', 'nodes', false),
  pods: core('Pod', 'pods'),
  services: core('Service', 'services'),
  secrets: core('Secret', 'secrets'),
  configMaps: core('ConfigMap', 'configmaps'),
  serviceAccounts: core('ServiceAccount', 'serviceaccounts'),
  events: core('Event', 'events'),
  endpointSlices: {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    plural: 'endpointslices',
    namespaced: true,
  },
  deployments: apps('Deployment', 'deployments'),
  replicaSets: apps('ReplicaSet', 'replicasets'),
  statefulSets: apps('StatefulSet', 'statefulsets'),
  daemonSets: apps('DaemonSet', 'daemonsets'),
  jobs: { apiVersion: 'batch/v1', kind: 'Job', plural: 'jobs', namespaced: true },
} as const satisfies Record<string, ResourceKind>

export interface ApiClient {
  /** For list-watches and requests of other shapes. */
  readonly kube: KubeClient
  get<T extends KubeObject>(resource: ResourceKind, namespace: string | undefined, name: string): Promise<T | undefined>
  create<T extends KubeObject>(resource: ResourceKind, object: KubeObject): Promise<T>
  /** JSON merge patch, on the object or on its status. */
  patch<T extends KubeObject>(
    resource: ResourceKind,
    namespace: string | undefined,
    name: string,
    patch: unknown,
    subresource?: string,
  ): Promise<T>
  /** Not there any more is fine. */
  remove(resource: ResourceKind, namespace: string | undefined, name: string, graceSeconds?: number): Promise<void>
}

export function createApiClient(socketPath: string): ApiClient {
  const kube = new KubeClient(socketConnection(short(socketPath)), 'wishbone-machine')
  const unlessGone = async <T>(work: Promise<T>): Promise<T | undefined> => {
    try {
      return await work
    } catch (cause) {
      if (isStatus(cause, 404)) return undefined
      throw cause
    }
  }
  return {
    kube,
    get: (resource, namespace, name) => unlessGone(kube.get(resourcePath(resource, namespace, name))),
    create: (resource, object) =>
      kube.request('POST', resourcePath(resource, object.metadata.namespace), { body: object }),
    patch: (resource, namespace, name, patch, subresource) =>
      kube.request('PATCH', resourcePath(resource, namespace, name, subresource), { body: patch, patch: 'merge' }),
    async remove(resource, namespace, name, gracePeriodSeconds) {
      const query = { gracePeriodSeconds }
      await unlessGone(kube.request('DELETE', resourcePath(resource, namespace, name), { query }))
    },
  }
}
