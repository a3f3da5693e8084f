// A container as a process: the pod's network namespace, mounts of its own, its user, its output into a log.
import { type ChildProcess, spawn } from 'node:child_process'
import { dirname } from 'node:path'
import type { Container, Pod } from '../types.ts'
import type { Mount } from './volumes.ts'

export interface ProcessFacts {
  /** A path that opens the network namespace; undefined: the machine's own (never for a pod). */
  readonly netns: string
  readonly hostname: string
  readonly mounts: readonly Mount[]
  /** Files that replace /etc/resolv.conf and /etc/hosts. */
  readonly resolvConf: string
  readonly hosts: string
}

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`

/** The user a container runs as: undefined for the one who runs the machine. */
export function userOf(pod: Pod, container: Container): { uid: number; gid: number } | undefined {
  const uid = container.securityContext?.runAsUser ?? pod.spec.securityContext?.runAsUser
  if (uid === undefined || uid === 0) return undefined
  return { uid, gid: container.securityContext?.runAsGroup ?? pod.spec.securityContext?.runAsGroup ?? uid }
}

/**
 * Words that put a command under a user. The user may read every file (CAP_DAC_READ_SEARCH), since an image's files are
 * this machine's and may belong to somebody else's home folder.
 */
function asUser(user: { uid: number; gid: number } | undefined): readonly string[] {
  if (!user) return []
  return [
    'setpriv',
    '--reuid',
    String(user.uid),
    '--regid',
    String(user.gid),
    '--clear-groups',
    '--inh-caps',
    '+dac_read_search',
    '--ambient-caps',
    '+dac_read_search',
  ]
}

/** The script that a container's first shell runs before it becomes the command. Pure. */
export function setUpScript(facts: ProcessFacts): string {
  const folders = [...new Set(facts.mounts.map((mount) => mount.target))]
  return [
    'set -e',
    'mount -t tmpfs -o mode=755 wishbone /run',
    ...(folders.length > 0 ? [`mkdir -p ${folders.map(quote).join(' ')}`] : []),
    ...facts.mounts.map((mount) => `mount --bind ${quote(mount.source)} ${quote(mount.target)}`),
    `mount --bind ${quote(facts.resolvConf)} "$(readlink -f /etc/resolv.conf || echo /etc/resolv.conf)" 2>/dev/null || true`,
    `mount --bind ${quote(facts.hosts)} /etc/hosts`,
    `hostname ${quote(facts.hostname)}`,
    'cd "$WISHBONE_WORKING_DIR"',
    'unset WISHBONE_WORKING_DIR',
    'exec "$@"',
  ].join('\n')
}

export interface StartOptions {
  readonly words: readonly string[]
  readonly workingDir: string
  readonly env: Readonly<Record<string, string>>
  readonly user: { uid: number; gid: number } | undefined
}

function environment(options: StartOptions): Record<string, string> {
  return {
    PATH: `${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    HOME: '/tmp',
    // Pods are often started again, and most of them are Node programs: their compiled code is kept.
    NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? '/tmp/wishbone-compile-cache',
    ...options.env,
    WISHBONE_WORKING_DIR: options.workingDir,
  }
}

/** Starts a container's command; the child's process id is the command's own, since everything before it execs. */
export function startProcess(facts: ProcessFacts, options: StartOptions): ChildProcess {
  const words = [
    `--net=${facts.netns}`,
    'unshare',
    '--mount',
    '--uts',
    'sh',
    '-c',
    setUpScript(facts),
    'sh',
    ...asUser(options.user),
    ...options.words,
  ]
  return spawn('nsenter', words, { stdio: ['ignore', 'pipe', 'pipe'], env: environment(options), detached: true })
}

/** Starts a command beside a running container, in its namespaces. */
export function startInside(pid: number, options: StartOptions & { readonly tty?: boolean }): ChildProcess {
  const run = [
    'sh',
    '-c',
    'cd "$WISHBONE_WORKING_DIR" && unset WISHBONE_WORKING_DIR && exec "$@"',
    'sh',
    ...asUser(options.user),
    ...options.words,
  ]
  // `script` makes the terminal that a person's shell wants.
  const words = options.tty
    ? ['script', '--quiet', '--return', '--command', run.map(quote).join(' '), '/dev/null']
    : run
  return spawn('nsenter', [`--target=${pid}`, '--net', '--mount', '--uts', ...words], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...environment(options), ...(options.tty ? { TERM: 'xterm' } : {}) },
    detached: true,
  })
}

/** Signals a command and everything it started. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // It has ended.
  }
}
