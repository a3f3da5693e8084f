// wishbone logs, exec and port-forward: a pod's output, a command in it, a local port to it.
import { createServer } from 'node:net'
import type { KubeObject } from '@wishbone/runtime/kube'
import { exec, forwardConnection } from '../kube/channels.ts'
import type { KubeClient } from '../kube/client.ts'
import { getObject, listObjects } from '../kube/objects.ts'
import { type ClusterOptions, connectCluster, print, UsageError } from './context.ts'

interface Labels {
  readonly selector?: Readonly<Record<string, string>> & { readonly matchLabels?: Readonly<Record<string, string>> }
}

/** `pod`, `pod/NAME`, or `deployment/NAME`, `service/NAME` … : a ready pod of theirs. */
export async function podNamed(client: KubeClient, word: string): Promise<string> {
  if (!word.includes('/')) return word
  const [kindWord = '', name = ''] = word.split('/')
  const kind = await client.kindNamed(kindWord)
  if (kind.kind === 'Pod') return name
  const owner = await getObject(client, kind, client.config.namespace, name)
  const { selector } = owner['spec'] as Labels
  const labels = selector?.matchLabels ?? selector
  if (!labels) throw new UsageError(`${word} selects no pods`)
  const pods = await listObjects(
    client,
    await client.kindNamed('pods'),
    client.config.namespace,
    Object.entries(labels)
      .map(([key, value]) => `${key}=${String(value)}`)
      .join(','),
  )
  const ready = (pod: KubeObject): boolean =>
    ((pod['status'] as { conditions?: { type: string; status: string }[] } | undefined)?.conditions ?? []).some(
      (condition) => condition.type === 'Ready' && condition.status === 'True',
    )
  const chosen = pods.find(ready) ?? pods[0]
  if (!chosen) throw new UsageError(`${word} has no pods in ${client.config.namespace}`)
  return chosen.metadata.name
}

export interface LogsOptions extends ClusterOptions {
  readonly container?: string
  readonly follow?: boolean
  readonly previous?: boolean
  readonly tail?: string
  readonly since?: string
}

/** Seconds of `30s`, `5m`, `2h`, `90` or `1h30m`. Throws UsageError. */
export function secondsOf(duration: string): number {
  const parts = [...duration.matchAll(/(\d+)(h|m|s|$)/g)]
  if (parts.length === 0 || parts.map(([whole]) => whole).join('') !== duration)
    throw new UsageError(`'${duration}' is not a duration such as 30s, 5m or 2h`)
  const unit: Record<string, number> = { h: 3_600, m: 60, s: 1, '': 1 }
  return parts.reduce((sum, [, count, word = '']) => sum + Number(count) * (unit[word] ?? 1), 0)
}

export async function logs(word: string, options: LogsOptions): Promise<void> {
  const client = connectCluster(options)
  try {
    const query = new URLSearchParams()
    if (options.container) query.set('container', options.container)
    if (options.follow) query.set('follow', 'true')
    if (options.previous) query.set('previous', 'true')
    if (options.tail !== undefined) query.set('tailLines', options.tail)
    if (options.since !== undefined) query.set('sinceSeconds', String(secondsOf(options.since)))
    const pod = await podNamed(client, word)
    const body = await client.stream(`/api/v1/namespaces/${client.config.namespace}/pods/${pod}/log?${query}`)
    for await (const chunk of body) process.stdout.write(chunk as Buffer)
  } finally {
    client.close()
  }
}

export async function execute(
  word: string,
  command: readonly string[],
  options: ClusterOptions & { container?: string; stdin?: boolean },
): Promise<number> {
  const client = connectCluster(options)
  try {
    const result = await exec(client, {
      namespace: client.config.namespace,
      pod: await podNamed(client, word),
      command,
      onStdout: (chunk) => process.stdout.write(chunk),
      onStderr: (chunk) => process.stderr.write(chunk),
      ...(options.container ? { container: options.container } : {}),
      ...(options.stdin ? { stdin: process.stdin } : {}),
    })
    return result.code
  } finally {
    client.close()
  }
}

interface ServicePorts {
  readonly ports?: readonly { readonly port: number; readonly targetPort?: number | string }[]
}
interface PodPorts {
  readonly containers?: readonly {
    readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[]
  }[]
}

/** The pod's port for what a person said: a Service's port leads to its target port, any other word's is the pod's own. */
async function podPortOf(client: KubeClient, word: string, pod: string, port: number): Promise<number> {
  if (!word.includes('/')) return port
  const [kindWord = '', name = ''] = word.split('/')
  const kind = await client.kindNamed(kindWord)
  if (kind.kind !== 'Service') return port
  const { ports = [] } = (await getObject(client, kind, client.config.namespace, name))['spec'] as ServicePorts
  const target = ports.find((candidate) => candidate.port === port)
  if (!target) {
    const known = ports.map((candidate) => candidate.port).join(', ')
    throw new UsageError(`${word} has no port ${port}; it has ${known || 'none'}`)
  }
  if (typeof target.targetPort === 'number') return target.targetPort
  if (target.targetPort === undefined) return port
  const pods = await client.kindNamed('pods')
  const { containers = [] } = (await getObject(client, pods, client.config.namespace, pod))['spec'] as PodPorts
  const named = containers.flatMap(({ ports: own = [] }) => own).find((own) => own.name === target.targetPort)
  if (!named) throw new UsageError(`no container of pod ${pod} has the port '${target.targetPort}' of ${word}`)
  return named.containerPort
}

/** Listens on 127.0.0.1 until the process is told to end. */
export async function portForward(word: string, ports: string, options: ClusterOptions): Promise<void> {
  const [local = '', remote = local] = ports.split(':')
  if (!/^\d+$/.test(local) || !/^\d+$/.test(remote)) throw new UsageError(`ports are LOCAL:REMOTE, not '${ports}'`)
  const client = connectCluster(options)
  const pod = await podNamed(client, word)
  const port = await podPortOf(client, word, pod, Number(remote))
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    forwardConnection(client, client.config.namespace, pod, port, socket).catch((cause: Error) => {
      process.stderr.write(`port-forward to ${pod}:${port}: ${cause.message}\n`)
      socket.destroy()
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.on('error', (cause: NodeJS.ErrnoException) =>
      reject(
        cause.code === 'EADDRINUSE'
          ? new UsageError(`port ${local} is taken here; give another: OTHER:${remote}`)
          : cause,
      ),
    )
    server.listen(Number(local), '127.0.0.1', () => {
      const bound = server.address()
      print(`Forwarding 127.0.0.1:${typeof bound === 'object' && bound ? bound.port : local} -> ${pod}:${port}`)
      resolve()
    })
  })
}
