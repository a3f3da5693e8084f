// wishbone logs, exec and port-forward: a pod's output, a command in it, a local port to it.
import { createServer } from 'node:net'
import { exec, forwardConnection } from '../kube/channels.ts'
import type { KubeClient, KubeObject } from '../kube/client.ts'
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
}

export async function logs(word: string, options: LogsOptions): Promise<void> {
  const client = connectCluster(options)
  try {
    const query = new URLSearchParams()
    if (options.container) query.set('container', options.container)
    if (options.follow) query.set('follow', 'true')
    if (options.previous) query.set('previous', 'true')
    if (options.tail) query.set('tailLines', options.tail)
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

/** Listens on 127.0.0.1 until the process is told to end. */
export async function portForward(word: string, ports: string, options: ClusterOptions): Promise<void> {
  const [local = '', remote = local] = ports.split(':')
  if (!/^\d+$/.test(local) || !/^\d+$/.test(remote)) throw new UsageError(`ports are LOCAL:REMOTE, not '${ports}'`)
  const client = connectCluster(options)
  const pod = await podNamed(client, word)
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    forwardConnection(client, client.config.namespace, pod, Number(remote), socket).catch((cause: Error) => {
      process.stderr.write(`port-forward to ${pod}:${remote}: ${cause.message}\n`)
      socket.destroy()
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject)
    server.listen(Number(local), '127.0.0.1', () => {
      print(`Forwarding 127.0.0.1:${local} -> ${pod}:${remote}`)
      resolve()
    })
  })
}
