// Keeps the cluster as a folder says: applied at start, and again whenever a file in it changes.
import { watch } from 'node:fs'
import { relative } from 'node:path'
import type { ApiClient } from '../client/api.ts'
import { Applier, type FolderState, planChanges } from './apply.ts'
import { identity, type Loaded, type Mistake, readPath, withoutDuplicates } from './read.ts'

export interface FolderOptions {
  readonly client: ApiClient
  readonly folders: readonly string[]
  readonly warn: (text: string) => void
  readonly note: (text: string) => void
  /** images.yaml of a folder may have changed. */
  readonly onImages: () => void
}

export function mistakeText(mistake: Mistake, from: string): string {
  const file = relative(from, mistake.place.file)
  return `${file.startsWith('..') ? mistake.place.file : file}:${mistake.place.line}: ${mistake.object ? `${mistake.object}: ` : ''}${mistake.message}`
}

export class FolderLoader {
  readonly #options: FolderOptions
  readonly #applier: Applier
  #state: FolderState = { applied: new Map() }
  #busy: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined

  constructor(options: FolderOptions) {
    this.#options = options
    this.#applier = new Applier(options.client)
  }

  /** Applies what the folders say now; mistakes are reported and leave everything else in force. */
  load(): Promise<void> {
    this.#busy = this.#busy.then(() => this.#load())
    return this.#busy
  }

  async #load(): Promise<void> {
    const files = this.#options.folders.flatMap((folder) => readPath(folder))
    const { objects, mistakes } = withoutDuplicates(files)
    const broken = new Set(mistakes.map((mistake) => mistake.place.file))
    const changes = planChanges(this.#state, objects, broken)
    const refused = await this.#applier.apply(changes.apply, 'wishbone-up')
    const applied = new Map<string, Loaded>(this.#state.applied)
    for (const loaded of changes.apply) {
      const failed = refused.some(
        (mistake) => mistake.place.file === loaded.place.file && mistake.place.line === loaded.place.line,
      )
      if (!failed) applied.set(identity(loaded.object), loaded)
    }
    for (const loaded of changes.remove) {
      try {
        await this.#applier.remove(loaded.object)
        applied.delete(identity(loaded.object))
      } catch (cause) {
        this.#options.warn(`${identity(loaded.object)} could not be deleted: ${(cause as Error).message}`)
      }
    }
    this.#state = { applied }
    for (const mistake of [...mistakes, ...refused]) this.#options.warn(mistakeText(mistake, process.cwd()))
    if (changes.apply.length + changes.remove.length > 0) {
      const done = changes.apply.length - refused.length
      this.#options.note(
        `applied ${done} objects${changes.remove.length > 0 ? `, deleted ${changes.remove.length}` : ''}`,
      )
    }
  }

  watch(signal: AbortSignal): void {
    for (const folder of this.#options.folders) {
      const watcher = watch(folder, { recursive: true }, () => {
        clearTimeout(this.#timer)
        // Editors write in several steps.
        this.#timer = setTimeout(() => {
          this.#options.onImages()
          void this.load()
        }, 150)
      })
      watcher.on('error', (cause) => this.#options.warn(`changes in ${folder} go unnoticed: ${cause.message}`))
      signal.addEventListener('abort', () => watcher.close(), { once: true })
    }
  }
}
