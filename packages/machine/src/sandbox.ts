// Starts the machine in namespaces of its own (network, mounts, processes; a user namespace too where there is no root) and
// relays local ports into it. Its network has no uplink, so nothing can leave it; its first process dies with us, so
// nothing of it can stay. Runs outside; inside runs main.ts, told what to do by `MachineSettings`, telling by `MachineEvent`s.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { openSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { type Relay, startRelay } from './relay.ts'
import { claimState, recordOwner, releaseState } from './state-folder.ts'

export type IpFamilies = 'ipv4' | 'dual' | 'ipv6'

/** What the process inside is told, as JSON in WISHBONE_MACHINE. Paths are absolute. */
export interface MachineSettings {
  readonly stateDir: string
  /** The folder that is applied at start and whenever a file in it changes; more than one may be given. */
  readonly folders: readonly string[]
  /** Manifest files and folders that are applied before `folders`, in this order, and not watched: the mesh itself. */
  readonly systemManifests: readonly string[]
  readonly nodes: number
  readonly ipFamilies: IpFamilies
  /** False: pods get no IPv6 at all (net.ipv6.conf.all.disable_ipv6=1). */
  readonly ipv6InPods: boolean
  /** The local port under which the API server can be reached from outside: for the kubeconfig. */
  readonly apiPort: number
}

/** What the process inside says, one JSON object a line on descriptor 3. */
export type MachineEvent =
  /** A step of the start; something to mend; something done that was asked for. */
  | { readonly event: 'progress' | 'warning' | 'note'; readonly text: string }
  /** The API server answers on its unix socket and the kubeconfig is written. */
  | { readonly event: 'api'; readonly socket: string; readonly kubeconfig: string }
  /** A LoadBalancer Service's TCP port can be reached through a unix socket. */
  | {
      readonly event: 'publish'
      readonly namespace: string
      readonly service: string
      readonly port: number
      /** What its clients speak: http, https, tls or tcp. */
      readonly scheme: string
      readonly socket: string
    }
  | { readonly event: 'unpublish'; readonly namespace: string; readonly service: string; readonly port: number }
  /** Everything in the folders is applied and the programs of the mesh are ready. */
  | { readonly event: 'ready' }

export interface SandboxOptions {
  readonly stateDir: string
  readonly folders: readonly string[]
  readonly systemManifests?: readonly string[]
  readonly nodes?: number
  readonly ipFamilies?: IpFamilies
  readonly ipv6InPods?: boolean
  readonly onEvent?: (event: MachineEvent) => void
  /** Preferred local port of a published Service port; any free one when it is taken or undefined. */
  readonly portFor?: (namespace: string, service: string, port: number) => number | undefined
  readonly environment?: Readonly<Record<string, string>>
}

export interface Sandbox extends AsyncDisposable {
  readonly kubeconfig: string
  /** http://localhost:PORT, https, tls or tcp, of a LoadBalancer Service's port; waits until it is published. */
  urlOf(namespace: string, service: string, port: number, timeoutMs?: number): Promise<string>
  /** Resolves when everything is ready; rejects when the machine ends before. */
  readonly ready: Promise<void>
  /** Resolves with a description when the machine has ended. */
  readonly ended: Promise<string>
}

/** Why no sandbox can be made here; undefined when one can. */
export function sandboxObstacle(): string | undefined {
  if (process.platform !== 'linux') return `network namespaces need Linux; this is ${process.platform}`
  const probe = spawnSync('unshare', [...unshareFlags(), 'true'], { encoding: 'utf8' })
  if (probe.status === 0) return undefined
  if (probe.error) return "the program 'unshare' is missing: install util-linux (apt-get install util-linux)"
  const reason = probe.stderr.trim().replace(/^unshare: /, '')
  if (process.getuid?.() === 0)
    return `namespaces cannot be made here (${reason}); the container that this runs in must allow it (CAP_SYS_ADMIN)`
  return `user namespaces are not allowed here (${reason}); run as root, or allow them: sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0`
}

function unshareFlags(): readonly string[] {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
  return [...user, '--net', '--mount', '--uts', '--ipc', '--pid', '--fork', '--kill-child', '--mount-proc']
}

/**
 * The first process inside only waits and reaps; when it ends, the kernel ends everything else in the sandbox.
 * A shell gives its background commands /dev/null as standard input, hence the detour over descriptor 4.
 */
const init = 'exec 4<&0; "$@" <&4 4<&- & child=$!; exec 4<&-; wait "$child"; exit $?'

function spawnInside(settings: MachineSettings, environment: Readonly<Record<string, string>>): ChildProcess {
  const log = openSync(join(settings.stateDir, 'machine.log'), 'a', 0o600)
  const main = fileURLToPath(new URL('./main.ts', import.meta.url))
  return spawn(
    'unshare',
    [
      ...unshareFlags(),
      'sh',
      '-c',
      init,
      'wishbone-machine',
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      main,
    ],
    {
      // Standard input is a pipe that nobody writes to: its end tells the inside that we are gone.
      stdio: ['pipe', log, log, 'pipe'],
      env: { ...process.env, ...environment, WISHBONE_MACHINE: JSON.stringify(settings) },
      detached: true,
    },
  )
}

/** Starts a machine. Throws when none can be made here, or when one is running in the same state folder. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const obstacle = sandboxObstacle()
  if (obstacle) throw new Error(obstacle)
  const stateDir = resolve(options.stateDir)
  claimState(stateDir)
  const apiSocket = join(stateDir, 'run', 'api.sock')
  const api = await startRelay(0, apiSocket)
  const relays = new Map<string, { readonly relay: Relay; readonly url: string }>()
  const waiting = new Map<string, ((url: string) => void)[]>()
  const keyOf = (namespace: string, service: string, port: number): string => `${namespace}/${service}:${port}`

  const child = spawnInside(
    {
      stateDir,
      folders: options.folders.map((folder) => resolve(folder)),
      systemManifests: (options.systemManifests ?? []).map((file) => resolve(file)),
      nodes: options.nodes ?? 2,
      ipFamilies: options.ipFamilies ?? 'ipv4',
      ipv6InPods: options.ipv6InPods ?? true,
      apiPort: api.port,
    },
    options.environment ?? {},
  )
  recordOwner(stateDir, child.pid)

  let resolveReady: () => void = () => {}
  let rejectReady: (cause: Error) => void = () => {}
  const ready = new Promise<void>((accept, refuse) => {
    resolveReady = accept
    rejectReady = refuse
  })
  ready.catch(() => {})
  const ended = new Promise<string>((accept) => {
    child.on('error', (cause) => accept(`unshare could not be started: ${cause.message}`))
    child.on('exit', (code, signal) =>
      accept(`the machine ended (${signal ?? `exit status ${code}`}); see ${join(stateDir, 'machine.log')}`),
    )
  })
  ended.then((text) => rejectReady(new Error(text)))

  const publish = async (event: Extract<MachineEvent, { event: 'publish' }>): Promise<void> => {
    const key = keyOf(event.namespace, event.service, event.port)
    if (relays.has(key)) return
    const relay = await startRelay(options.portFor?.(event.namespace, event.service, event.port) ?? 0, event.socket)
    const url = `${event.scheme}://localhost:${relay.port}`
    relays.set(key, { relay, url })
    for (const tell of waiting.get(key) ?? []) tell(url)
    waiting.delete(key)
  }
  const handle = (event: MachineEvent): void => {
    if (event.event === 'ready') resolveReady()
    if (event.event === 'publish') void publish(event)
    if (event.event === 'unpublish') {
      const key = keyOf(event.namespace, event.service, event.port)
      void relays.get(key)?.relay[Symbol.asyncDispose]()
      relays.delete(key)
    }
    options.onEvent?.(event)
  }
  createInterface({ input: child.stdio[3] as Readable }).on('line', (line) => {
    try {
      handle(JSON.parse(line) as MachineEvent)
    } catch {
      options.onEvent?.({ event: 'warning', text: `the machine said something unexpected: ${line}` })
    }
  })

  return {
    kubeconfig: join(stateDir, 'kubeconfig'),
    ready,
    ended,
    async urlOf(namespace, service, port, timeoutMs = 30_000) {
      const key = keyOf(namespace, service, port)
      const known = relays.get(key)
      if (known) return known.url
      return new Promise((accept, refuse) => {
        const timer = setTimeout(
          () =>
            refuse(
              new Error(
                `no LoadBalancer Service ${namespace}/${service} with port ${port} came up in ${timeoutMs / 1000} s`,
              ),
            ),
          timeoutMs,
        )
        const tell = (url: string): void => {
          clearTimeout(timer)
          accept(url)
        }
        waiting.set(key, [...(waiting.get(key) ?? []), tell])
      })
    },
    async [Symbol.asyncDispose]() {
      child.stdin?.end()
      const patience = setTimeout(() => {
        // The whole sandbox dies with its first process, which dies with unshare.
        if (child.pid !== undefined && child.exitCode === null) process.kill(child.pid, 'SIGKILL')
      }, 10_000)
      await ended
      clearTimeout(patience)
      const all = [api, ...[...relays.values()].map(({ relay }) => relay)]
      await Promise.all(all.map((relay) => relay[Symbol.asyncDispose]()))
      releaseState(stateDir)
    },
  }
}
