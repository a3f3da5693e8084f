// The kubelets of all nodes: a runner for each pod that has a node, their events, and users' access to them.
import { mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Duplex, Readable, Writable } from 'node:stream'
import { connectIn } from '@wishbone/runtime/os'
import { randomSuffix, timestamp } from '../api/objects/object.ts'
import { resources } from '../client/api.ts'
import type { Context } from '../controllers/context.ts'
import type { NodeNetwork, PodLink } from '../network/fabric.ts'
import type { Pod } from '../types.ts'
import { type Execution, type LogRequest, type PodAccess, PodAccessError } from './access.ts'
import { askAgent } from './cni.ts'
import type { Lookup } from './environment.ts'
import { type Image, isOwnImage } from './images.ts'
import { readLog } from './logs.ts'
import { meaninglessFields } from './meaning.ts'
import { type PodHost, PodRunner } from './pod.ts'
import { signalGroup, startInside } from './process.ts'
import { resizeTerminal } from './terminal.ts'
import { createTokens } from './tokens.ts'

export interface KubeletOptions {
  readonly stateDir: string
  readonly nodes: ReadonlyMap<string, NodeNetwork>
  readonly images: () => ReadonlyMap<string, Image>
  readonly dns: readonly string[]
  readonly apiService: string
  readonly otherUsers: boolean
  readonly warn: (text: string) => void
}

export function nodeFolder(stateDir: string, node: string): string {
  return join(stateDir, 'nodes', node)
}

export interface Kubelet {
  readonly access: PodAccess
  /** ConfigMaps or Secrets have changed: volumes are written again. */
  refresh(namespace: string): void
  stopAll(): Promise<void>
}

export function startKubelet(context: Context, options: KubeletOptions): Kubelet {
  const { client, mirrors } = context
  const runners = new Map<string, PodRunner>()
  const tokens = createTokens(client)
  const lookup: Lookup = {
    secret: (namespace, name) => mirrors.secrets.get(namespace, name),
    configMap: (namespace, name) => mirrors.configMaps.get(namespace, name),
  }

  const event: PodHost['event'] = (pod, reason, message, type) => {
    const now = timestamp()
    const { name, namespace = '', uid } = pod.metadata
    void client
      .create(resources.events, {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name: `${name}.${randomSuffix(10)}`, namespace },
        involvedObject: { apiVersion: 'v1', kind: 'Pod', name, namespace, uid },
        reason,
        message,
        type,
        source: { component: 'kubelet', host: pod.spec.nodeName },
        firstTimestamp: now,
        lastTimestamp: now,
        count: 1,
      } as never)
      .catch(() => {})
    if (type === 'Warning') options.warn(`pod ${namespace}/${name}: ${reason}: ${message}`)
  }

  const hostFor = (pod: Pod, network: NodeNetwork): PodHost => {
    const node = pod.spec.nodeName ?? ''
    const folder = nodeFolder(options.stateDir, node)
    const uid = pod.metadata.uid ?? pod.metadata.name
    const netnsFolder = join(folder, 'run/wishbone-netns')
    mkdirSync(netnsFolder, { recursive: true })
    const linkPath = join(netnsFolder, uid)
    return {
      node: { name: node, ip: network.ips[0] ?? '', folder, netns: network.fd, netnsPath: network.path },
      folder: join(folder, 'pods', uid),
      logFolder: join(options.stateDir, 'logs', `${pod.metadata.namespace}_${pod.metadata.name}_${uid}`),
      lookup,
      tokens,
      images: options.images,
      otherUsers: options.otherUsers,
      serviceEnvironment: { KUBERNETES_SERVICE_HOST: options.apiService, KUBERNETES_SERVICE_PORT: '443' },
      resolvConf: (owner) => {
        const namespace = owner.metadata.namespace
        return `${options.dns.map((ip) => `nameserver ${ip}\n`).join('')}search ${namespace}.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n`
      },
      connect() {
        const link = network.connectPod()
        const close = (): void => {
          rmSync(linkPath, { force: true })
          link.close()
        }
        return { ...link, close }
      },
      async enrol(owner: Pod, link: PodLink) {
        await askAgent(folder, owner, link)
        // Only now may it be found: a pod that waits for the agent is not one that started without it.
        rmSync(linkPath, { force: true })
        symlinkSync(link.path, linkPath)
      },
      async writeStatus(owner, status) {
        await client.patch(
          resources.pods,
          owner.metadata.namespace,
          owner.metadata.name,
          { metadata: { uid: owner.metadata.uid }, status },
          'status',
        )
      },
      finish: (owner) => client.remove(resources.pods, owner.metadata.namespace, owner.metadata.name, 0),
      event,
    }
  }

  const see = (pod: Pod): void => {
    const uid = pod.metadata.uid ?? ''
    const known = runners.get(uid)
    if (known) {
      known.update(pod)
      return
    }
    const network = options.nodes.get(pod.spec.nodeName ?? '')
    if (!network) {
      if (pod.metadata.deletionTimestamp)
        void client.remove(resources.pods, pod.metadata.namespace, pod.metadata.name, 0).catch(() => {})
      return
    }
    const own = pod.spec.containers.every((container) => isOwnImage(container.image))
    const ignored = own ? [] : meaninglessFields(pod)
    if (ignored.length > 0)
      event(
        pod,
        'FieldsIgnored',
        `these fields have no meaning on this machine and are ignored: ${ignored.join(', ')}`,
        'Normal',
      )
    const runner = new PodRunner(hostFor(pod, network), pod)
    runners.set(uid, runner)
    if (pod.metadata.deletionTimestamp) runner.update(pod)
    else void runner.live()
  }
  mirrors.pods.onChange((now, before) => {
    if (before && (!now || now.metadata.uid !== before.metadata.uid)) {
      // Gone without our doing: nothing of it may stay.
      const uid = before.metadata.uid ?? ''
      runners.get(uid)?.update({
        ...before,
        metadata: { ...before.metadata, deletionTimestamp: timestamp(), deletionGracePeriodSeconds: 0 },
      })
      runners.delete(uid)
    }
    if (now) see(now)
  })
  for (const pod of mirrors.pods.all()) see(pod)

  const runnerOf = (namespace: string, name: string): PodRunner => {
    const uid = mirrors.pods.get(namespace, name)?.metadata.uid
    const runner = uid ? runners.get(uid) : undefined
    if (!runner) throw new PodAccessError(404, `pod ${namespace}/${name} does not run on any node`)
    return runner
  }

  const access: PodAccess = {
    async logs(namespace, name, request: LogRequest): Promise<Readable> {
      const runner = runnerOf(namespace, name)
      const container = runner.container(request.container)
      if (request.previous && container.attempt === 0) {
        throw new PodAccessError(400, `previous terminated container in pod "${name}" not found`)
      }
      return readLog(runner.logPath(container, request.previous ?? false), request, () => container.isOver)
    },
    async exec(namespace, name, { container, command, tty }): Promise<Execution> {
      const chosen = runnerOf(namespace, name).container(container)
      const { inside } = chosen
      if (!inside) throw new PodAccessError(400, `container ${chosen.run.container.name} of pod ${name} does not run`)
      const child = startInside(inside.pid, { ...inside.options, words: command, tty: tty ?? false })
      return {
        stdin: child.stdin as Writable,
        stdout: child.stdout as Readable,
        stderr: child.stderr as Readable,
        exit: new Promise((resolve) => {
          child.on('error', () => resolve(126))
          child.on('close', (code, signal) => resolve(code ?? (signal ? 137 : 1)))
        }),
        resize: (columns, rows) => void (child.pid && tty && resizeTerminal(child.pid, columns, rows)),
        kill: () => void (child.pid && signalGroup(child.pid, 'SIGKILL')),
      }
    },
    async connect(namespace, name, port): Promise<Duplex> {
      const runner = runnerOf(namespace, name)
      // As a kubelet does: from inside the pod, to its loopback, so that the mesh is not in between.
      return connectIn(runner.netns, { ip: '127.0.0.1', port, timeoutMs: 10_000 }).catch(() =>
        connectIn(runner.netns, { ip: runner.ip ?? '', port, timeoutMs: 10_000 }),
      )
    },
  }

  const refresh = (namespace: string): void => {
    for (const runner of runners.values()) {
      if (runner.pod.metadata.namespace === namespace) void runner.refreshVolumes().catch(() => {})
    }
  }
  // Tokens are renewed before they end.
  const timer = setInterval(() => {
    for (const runner of runners.values()) void runner.refreshVolumes().catch(() => {})
  }, 60_000)
  timer.unref()
  for (const mirror of [mirrors.configMaps, mirrors.secrets]) {
    mirror.onChange((now, before) => {
      if (before) refresh((now ?? before).metadata.namespace ?? '')
    })
  }
  return {
    access,
    refresh,
    async stopAll() {
      for (const runner of runners.values()) {
        const { pod } = runner
        runner.update({
          ...pod,
          metadata: { ...pod.metadata, deletionTimestamp: timestamp(), deletionGracePeriodSeconds: 1 },
        })
      }
    },
  }
}
