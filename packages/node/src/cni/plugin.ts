// Installs the CNI plugin on the node and keeps it there: its program, its entry in the network configuration, and the list of
// enrolled namespaces that it goes by while the agent is away. Other programs write in these folders too, so they are watched.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { delay } from '@wishbone/runtime/lifecycle'
import type { Logger } from '@wishbone/runtime/log'
import {
  configurationsOf,
  isConfiguration,
  type PluginEntry,
  pluginType,
  withoutPlugin,
  withPlugin,
} from './conflist.ts'

export interface PluginPlaces {
  /** The program as it is in the image. */
  readonly source: string
  /** Where the node's container runtime looks for plugins and their configuration. */
  readonly binFolder: string
  readonly confFolder: string
}

/** Changes of a moment are seen as one; a missed one is found after the other time. */
const settleMs = 100
const lookAgainMs = 10_000

const listName = `${pluginType}.namespaces`

export class CniPlugin {
  readonly #places: PluginPlaces
  readonly #entry: PluginEntry
  readonly #log: Logger
  #problem: string | undefined = 'the CNI plugin'
  #wanted = true
  #isRemoved = false
  #said = ''

  constructor(places: PluginPlaces, entry: PluginEntry, log: Logger) {
    this.#places = places
    this.#entry = entry
    this.#log = log
  }

  /** What keeps new pods from being captured before their first packet; undefined when nothing does. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** Keeps the plugin in place until the signal. What was installed stays. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const changed = Promise.withResolvers<void>()
      const watchers = [this.#places.confFolder, this.#places.binFolder].map((folder) =>
        watched(folder, changed.resolve),
      )
      this.install()
      const rest = new AbortController()
      await Promise.race([delay(lookAgainMs, AbortSignal.any([signal, rest.signal])), changed.promise])
      rest.abort()
      for (const watcher of watchers) watcher()
      await delay(settleMs, signal)
    }
  }

  /** Takes it away and keeps it away, or puts it back. */
  want(wanted: boolean): void {
    this.#wanted = wanted
    this.#isRemoved = false
    this.install()
  }

  /** What is wanted, once; idempotent. Never throws: a node whose folders are odd still gets its running pods enrolled. */
  install(): void {
    if (!this.#wanted) {
      // Once: what comes later is another agent's.
      if (!this.#isRemoved) this.#remove()
      return
    }
    try {
      this.#problem = this.#installProgram() ?? this.#chain()
    } catch (cause) {
      this.#problem = `the CNI plugin: ${String(cause)}`
    }
    if (this.#problem !== undefined && this.#problem !== this.#said)
      this.#log.warn('new pods are captured only after they have started: the CNI plugin is not in place', {
        reason: this.#problem,
      })
    this.#said = this.#problem ?? ''
  }

  #remove(): void {
    this.#problem = 'the end of the uninstallation'
    try {
      for (const path of removePlugin(this.#places)) this.#log.info('the CNI plugin is removed', { path })
      this.#isRemoved = true
    } catch (cause) {
      this.#log.warn('the CNI plugin cannot be removed; trying again', { error: String(cause) })
    }
  }

  #installProgram(): string | undefined {
    const { source, binFolder } = this.#places
    const target = join(binFolder, pluginType)
    const program = readFileSync(source)
    if (existsSync(target) && statSync(target).size === program.length && readFileSync(target).equals(program))
      return undefined
    mkdirSync(binFolder, { recursive: true })
    replace(target, program, 0o755)
    this.#log.info('the CNI plugin is installed', { path: target })
    return undefined
  }

  #chain(): string | undefined {
    const { confFolder } = this.#places
    const found = firstConfiguration(confFolder)
    if (found === undefined) return `a network configuration in ${confFolder} to be chained to`
    const change = withPlugin(found.name, found.text, this.#entry)
    if (change.kind === 'impossible') return change.reason
    if (change.kind === 'nothing') return undefined
    replace(join(confFolder, change.name), change.text, 0o644)
    if (change.name !== found.name) rmSync(join(confFolder, found.name), { force: true })
    this.#log.info('the CNI plugin is chained', { file: join(confFolder, change.name) })
    return undefined
  }
}

/** Takes entry, program and list away, whoever has put them there. Returns what was changed. */
export function removePlugin({
  binFolder,
  confFolder,
}: Pick<PluginPlaces, 'binFolder' | 'confFolder'>): readonly string[] {
  const changed: string[] = []
  // The configuration first: it must not name a program that is not there.
  for (const { name, text } of configurationFiles(confFolder)) {
    const path = join(confFolder, name)
    const change = withoutPlugin(name, text)
    if (change.kind !== 'write') continue
    const target = join(confFolder, change.name)
    // Somebody may have written the single plugin's file anew; theirs is the newer one.
    if (change.name === name || !existsSync(target)) replace(target, change.text, 0o644)
    if (change.name !== name) rmSync(path)
    changed.push(path)
  }
  for (const name of [pluginType, listName]) {
    const path = join(binFolder, name)
    if (!existsSync(path)) continue
    rmSync(path)
    changed.push(path)
  }
  return changed
}

/** Writes the names a line each; beside the plugin, where they outlive a reboot. */
export function writeEnrolledNamespaces(binFolder: string, names: readonly string[]): void {
  writeNames(join(binFolder, listName), names)
}

/** Whole or not at all: the reader has no second look. */
export function writeNames(path: string, names: readonly string[]): void {
  mkdirSync(dirname(path), { recursive: true })
  replace(path, names.map((name) => `${name}\n`).join(''), 0o644)
}

const isNoFile: ReadonlySet<string> = new Set(['EISDIR', 'ENOENT', 'ELOOP'])

function firstConfiguration(folder: string): { readonly name: string; readonly text: string } | undefined {
  return configurationFiles(folder).find(({ text }) => isConfiguration(text))
}

/**
 * Without what is no file (a folder, a link to nothing), which a container runtime passes over too (libcni's ConfFiles). Throws when
 * one cannot be read now: it may be the one that names the plugin.
 */
function* configurationFiles(folder: string): Generator<{ readonly name: string; readonly text: string }> {
  const names = existsSync(folder) ? configurationsOf(readdirSync(folder)) : []
  for (const name of names)
    try {
      yield { name, text: readFileSync(join(folder, name), 'utf8') }
    } catch (cause) {
      if (!isNoFile.has((cause as NodeJS.ErrnoException).code ?? '')) throw cause
    }
}

function replace(path: string, content: string | Buffer, mode: number): void {
  const fresh = `${path}.wishbone-new`
  rmSync(fresh, { force: true })
  writeFileSync(fresh, content, { mode })
  renameSync(fresh, path)
}

function watched(folder: string, onChange: () => void): () => void {
  try {
    const watcher = watch(folder, { persistent: false }, (_, name) => {
      if (name?.endsWith('.wishbone-new') !== true) onChange()
    })
    watcher.on('error', onChange)
    return () => watcher.close()
  } catch {
    return () => undefined
  }
}
