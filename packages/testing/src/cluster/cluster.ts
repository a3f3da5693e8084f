// What a scene may do to a cluster and see of it. Everything goes through the Kubernetes API, so that the scenes
// run unchanged on `wishbone up` and on a real cluster.
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import {
  applyObject,
  createKubeClient,
  deleteObject,
  type ExecResult,
  exec,
  getObject,
  type KubeClient,
  listObjects,
  readKubeConfig,
} from '@wishbone/cli'
import type { KubeObject } from '@wishbone/runtime/kube'
import { readText } from '@wishbone/runtime/manifests'
import { fetchFromPod } from './forward.ts'
import { until } from './until.ts'

export interface PodObject extends KubeObject {
  readonly spec: { readonly nodeName?: string; readonly containers: readonly { readonly name: string }[] }
  readonly status?: {
    readonly phase?: string
    readonly podIP?: string
    readonly hostIP?: string
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
    readonly containerStatuses?: readonly { readonly containerID?: string; readonly restartCount: number }[]
  }
}

export interface Wiretap {
  readonly interface: string
  readonly packets: number
  readonly tcpPorts: Readonly<Record<string, number>>
  readonly found: Readonly<Record<string, number>>
  /** Of the connections to the port that was asked about, seen from their first packet on. */
  readonly tls: {
    readonly connections: number
    readonly clientHellos: number
    readonly serverHellos: number
    readonly tls13: number
    readonly records: number
    readonly notTls: number
  }
}

export interface WiretapOptions {
  /** Texts to look for. */
  readonly find: readonly string[]
  /** What is done while the wiretap listens. */
  during(): Promise<unknown>
  /** Only packets from or to this IPv4 address. */
  readonly host?: string
  /** Judge the connections to this port. */
  readonly tlsPort?: number
}

export interface Cluster {
  readonly client: KubeClient
  /** An HTTP server that is no part of the cluster, reachable from pods. */
  readonly outsideUrl: string
  /** Applies every object of the YAML text, namespaces first; throws at the first that is refused. */
  apply(yaml: string): Promise<void>
  remove(yaml: string): Promise<void>
  get(kind: string, namespace: string | undefined, name: string): Promise<KubeObject>
  list(kind: string, namespace?: string, selector?: string): Promise<readonly KubeObject[]>
  /** JSON merge patch. */
  patch(kind: string, namespace: string | undefined, name: string, patch: unknown): Promise<void>
  pods(namespace: string, selector: string): Promise<readonly PodObject[]>
  run(pod: PodObject, command: readonly string[]): Promise<ExecResult>
  logs(pod: PodObject, container?: string, sinceSeconds?: number): Promise<string>
  /** The body of an HTTP GET to a port inside the pod, one that only listens on localhost included. */
  fetch(pod: PodObject, port: number, path: string): Promise<string>
  /** A toolbox client verb in a pod; its line of JSON. */
  toolbox<T = Outcome>(pod: PodObject, ...words: string[]): Promise<T>
  /** The standard load; with `streams` also a WebSocket and a gRPC stream. */
  load(pod: PodObject, host: string, seconds: number, rate: number, streams?: boolean): Promise<LoadResult>
  /** The standard load with streams, for as long as `during` takes, 10 minutes at most. */
  loadDuring(
    targets: readonly { readonly pod: PodObject; readonly host: string }[],
    rate: number,
    during: () => Promise<unknown>,
  ): Promise<readonly LoadResult[]>
  /** What can be read on a node's uplink while something is done; rejects with what `during` rejects with. */
  wiretap(node: string, options: WiretapOptions): Promise<Wiretap>
}

export interface Outcome {
  readonly ms: number
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly error?: string
  readonly heard?: unknown
}

export interface Distribution {
  readonly total: number
  readonly statuses: Readonly<Record<string, number>>
  readonly servedBy: Readonly<Record<string, number>>
}

export interface LoadResult {
  readonly failed: number
  readonly counts: Readonly<
    Record<string, { readonly asked: number; readonly ok: number; readonly reasons: readonly string[] }>
  >
}

/** Ready, and not about to go: a pod that is being deleted stays Ready until its containers have ended. */
export function isReady(pod: PodObject): boolean {
  if (isLeaving(pod)) return false
  return pod.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false
}

export function isLeaving({ metadata }: KubeObject): boolean {
  return (metadata as { readonly deletionTimestamp?: string }).deletionTimestamp !== undefined
}

function lastLine<T>(result: ExecResult, what: string): T {
  const line = result.stdout.trim().split('\n').at(-1) ?? ''
  try {
    return JSON.parse(line) as T
  } catch {
    throw new Error(`${what} ended with ${result.code} and said no JSON: ${result.stdout}${result.stderr}`)
  }
}

/** The cluster of a kubeconfig file, with nothing outside of it. */
export function connectCluster(kubeconfig: string): Cluster {
  return createCluster(createKubeClient(readKubeConfig(kubeconfig)), '')
}

export function createCluster(client: KubeClient, outsideUrl: string): Cluster {
  const kind = (word: string) => client.kindNamed(word)
  const objects = (yaml: string): readonly KubeObject[] => {
    const { objects: read, mistakes } = readText(yaml, 'scene')
    if (mistakes[0]) throw new Error(mistakes[0].message)
    return read.map((entry) => entry.object)
  }
  const cluster: Cluster = {
    client,
    outsideUrl,
    async apply(yaml) {
      const namespacesFirst = objects(yaml).toSorted(
        (a, b) => Number(b.kind === 'Namespace') - Number(a.kind === 'Namespace'),
      )
      for (const object of namespacesFirst) await applyObject(client, object)
    },
    async remove(yaml) {
      for (const object of [...objects(yaml)].reverse()) await deleteObject(client, object)
    },
    get: async (word, namespace, name) => getObject(client, await kind(word), namespace, name),
    async patch(word, namespace, name, patch) {
      await client.request('PATCH', client.pathOf(await kind(word), namespace, name), { body: patch, patch: 'merge' })
    },
    list: async (word, namespace, selector) => listObjects(client, await kind(word), namespace, selector),
    fetch: (pod, port, path) =>
      fetchFromPod(client, pod.metadata.namespace ?? 'default', pod.metadata.name, port, path),
    pods: async (namespace, selector) =>
      (await listObjects(client, await kind('pods'), namespace, selector)) as readonly PodObject[],
    run: (pod, command) =>
      exec(client, { namespace: pod.metadata.namespace ?? 'default', pod: pod.metadata.name, command }),
    async logs(pod, container, sinceSeconds) {
      const query = new URLSearchParams()
      if (container) query.set('container', container)
      if (sinceSeconds) query.set('sinceSeconds', String(sinceSeconds))
      const path = `/api/v1/namespaces/${pod.metadata.namespace}/pods/${pod.metadata.name}/log?${query}`
      return text(await client.stream(path))
    },
    async toolbox<T>(pod: PodObject, ...words: string[]) {
      const result = await cluster.run(pod, ['node', 'src/client.ts', ...words])
      return lastLine<T>(result, `toolbox ${words.join(' ')} in ${pod.metadata.name}`)
    },
    async load(pod, host, seconds, rate, streams = false) {
      const words = ['--seconds', String(seconds), '--rate', String(rate), ...(streams ? ['--streams'] : [])]
      const command = ['node', 'src/load.ts', host, ...words]
      return lastLine<LoadResult>(await cluster.run(pod, command), `load in ${pod.metadata.name}`)
    },
    async loadDuring(targets, rate, during) {
      const over = `/tmp/load-over-${Date.now()}`
      const words = ['--rate', String(rate), '--seconds', '600', '--streams', '--until-file', over]
      const loads = Promise.all(
        targets.map(async ({ pod, host }) => {
          const result = await cluster.run(pod, ['node', 'src/load.ts', host, ...words])
          return lastLine<LoadResult>(result, `load in ${pod.metadata.name}`)
        }),
      )
      loads.catch(() => {})
      try {
        await during()
      } finally {
        for (const { pod } of targets) {
          const stop = () => cluster.run(pod, ['node', '-e', `require('node:fs').writeFileSync('${over}', '')`])
          // It would go on for minutes.
          await stop().catch(() => until(`the load in ${pod.metadata.name} to be told its end`, stop))
        }
      }
      return loads
    },
    async wiretap(node, { find, host, tlsPort, during }) {
      const taps = await cluster.pods('outside', 'app=wiretap')
      const tap = taps.find((pod) => pod.spec.nodeName === node)
      if (!tap) throw new Error(`no wiretap on ${node}`)
      const command = ['node', 'src/wiretap.ts', '--until-end']
      for (const text of find) command.push('--find', text)
      if (host !== undefined) command.push('--host', host)
      if (tlsPort !== undefined) command.push('--tls', String(tlsPort))
      let stdout = ''
      let done: Promise<unknown> | undefined
      const stdin = new PassThrough()
      const result = await exec(client, {
        namespace: 'outside',
        pod: tap.metadata.name,
        command,
        stdin,
        onStdout: (chunk) => {
          stdout += chunk.toString('utf8')
          if (!stdout.includes('\n') || done) return
          done = during()
          // Its failure is thrown below.
          done.catch(() => {}).then(() => stdin.end())
        },
      })
      await done
      return lastLine<Wiretap>({ ...result, stdout }, `wiretap on ${node}`)
    },
  }
  return cluster
}
