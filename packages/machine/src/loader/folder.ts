// Keeps the cluster as a folder says: applied at start, and again whenever a file in it changes.
import { existsSync, watch } from 'node:fs'
import { relative } from 'node:path'
import { delay } from '@wishbone/runtime/lifecycle'
import { describe, identity, type Loaded, type Mistake, readPath, withoutDuplicates } from '@wishbone/runtime/manifests'
import type { KubeObject } from '../api/objects/object.ts'
import type { ApiClient } from '../client/api.ts'
import { Applier, type FolderState, planChanges } from './apply.ts'
import { Complaints } from './complaints.ts'

export interface FolderOptions {
  readonly client: ApiClient
  readonly folders: readonly string[]
  readonly warn: (text: string) => void
  /** What was done; `first` when it was the first time. */
  readonly note: (text: string, first: boolean) => void
  /** images.yaml of a folder may have changed. */
  readonly onImages: () => void
  /** What has no meaning here in an object that was applied; undefined: all of it has. */
  readonly remarkOn: (object: KubeObject) => string | undefined
}

export function mistakeText(mistake: Mistake, from: string): string {
  const file = relative(from, mistake.place.file)
  return `${file.startsWith('..') ? mistake.place.file : file}:${mistake.place.line}: ${mistake.object ? `${mistake.object}: ` : ''}${mistake.message}`
}

function summary(applied: number, deleted: number): string {
  const count = (number: number): string => `${number} object${number === 1 ? '' : 's'}`
  const parts = [
    ...(applied > 0 ? [`applied ${count(applied)}`] : []),
    ...(deleted > 0 ? [`deleted ${count(deleted)}`] : []),
  ]
  return parts.join(', ')
}

/** Statuses that are written one after another contradict each other no longer than this. */
const standMs = 300

const mistakeKey = ({ place, object, message }: Mistake): string => `${place.file} ${object ?? ''} ${message}`

export class FolderLoader {
  readonly #options: FolderOptions
  readonly #applier: Applier
  readonly #complaints: Complaints
  #state: FolderState = { applied: new Map() }
  #texts: ReadonlyMap<string, string> = new Map()
  #told: ReadonlySet<string> = new Set()
  #busy: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined

  constructor(options: FolderOptions) {
    this.#options = options
    this.#applier = new Applier(options.client)
    this.#complaints = new Complaints({
      client: options.client,
      pathOf: (object) => this.#applier.pathOf(object),
      warn: ({ object, place }, message) =>
        options.warn(mistakeText({ place, object: describe(object), message }, process.cwd())),
      warnOf: (object, message) => options.warn(`${object}: ${message}`),
    })
  }

  /** Applies what the folders say now; mistakes are reported and leave everything else in force. */
  load(): Promise<void> {
    this.#busy = this.#busy
      .then(() => this.#load())
      .catch((cause: Error) => this.#options.warn(`the folder could not be applied: ${cause.message}`))
    return this.#busy
  }

  async #load(): Promise<void> {
    const gone = this.#options.folders.find((folder) => !existsSync(folder))
    if (gone) return this.#options.warn(`the folder ${gone} is not there any more; what was applied stays in force`)
    const files = this.#options.folders.flatMap((folder) => readPath(folder))
    const changed = new Set(files.filter(({ file, text }) => this.#texts.get(file) !== text).map(({ file }) => file))
    const first = this.#texts.size === 0
    const { objects, mistakes } = withoutDuplicates(files)
    const broken = new Set(mistakes.map((mistake) => mistake.place.file))
    const changes = planChanges(this.#state, objects, broken, changed)
    const refused = await this.#applier.apply(changes.apply, 'wishbone-up')
    const failed = new Set(refused.map((mistake) => mistake.refused))
    const applied = new Map<string, Loaded>(this.#state.applied)
    // Unchanged objects too: they may stand in another file or line now.
    for (const loaded of objects) {
      const key = identity(loaded.object)
      if (!failed.has(key)) applied.set(key, loaded)
    }
    let deleted = 0
    for (const loaded of changes.remove) {
      try {
        await this.#applier.remove(loaded.object)
        applied.delete(identity(loaded.object))
        deleted++
      } catch (cause) {
        this.#options.warn(`${describe(loaded.object)} could not be deleted: ${(cause as Error).message}`)
      }
    }
    this.#state = { applied }
    this.#texts = new Map(files.map(({ file, text }) => [file, text ?? '']))
    this.#complaints.follow(applied.values())
    this.#tell([...mistakes, ...refused], changed)
    this.#tellRemarks(changes.apply.filter(({ object }) => !failed.has(identity(object))))
    const done = changes.apply.length - refused.length
    if (done + deleted > 0) this.#options.note(summary(done, deleted), first)
  }

  /** Each mistake once, and again when its file was written again. */
  #tell(mistakes: readonly Mistake[], changed: ReadonlySet<string>): void {
    for (const mistake of mistakes) {
      if (changed.has(mistake.place.file) || !this.#told.has(mistakeKey(mistake)))
        this.#options.warn(mistakeText(mistake, process.cwd()))
    }
    this.#told = new Set(mistakes.map(mistakeKey))
  }

  #tellRemarks(objects: readonly Loaded[]): void {
    for (const { object, place } of objects) {
      const message = this.#options.remarkOn(object)
      if (message !== undefined)
        this.#options.warn(mistakeText({ place, object: describe(object), message }, process.cwd()))
    }
  }

  /** Tells now what the controller complains of; for when it has looked at everything. */
  async complain(): Promise<void> {
    await this.#complaints.look()
    await delay(standMs)
    await this.#complaints.look()
  }

  watch(signal: AbortSignal): void {
    this.#complaints.start(1_500, signal)
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
