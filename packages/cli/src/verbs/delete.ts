// wishbone delete KIND NAME..., KIND/NAME..., KIND -l LABELS, or -f PATH.
import type { KindName, KubeClient } from '../kube/client.ts'
import { deleteObject, listObjects, refOf } from '../kube/objects.ts'
import { readFrom } from './apply.ts'
import { type ClusterOptions, connectCluster, print, UsageError } from './context.ts'
import { targetsOf } from './get.ts'

export interface DeleteOptions extends ClusterOptions {
  readonly filename?: readonly string[]
  readonly selector?: string
}

/** Deletes the objects named; every one is tried. How many could not be. */
async function removeNamed(client: KubeClient, kind: KindName, names: readonly string[]): Promise<number> {
  let failed = 0
  for (const name of names) {
    try {
      await client.request('DELETE', client.pathOf(kind, client.config.namespace, name))
      print(`${kind.singular}/${name} deleted`)
    } catch (cause) {
      failed++
      process.stderr.write(`${kind.singular}/${name}: ${(cause as Error).message}\n`)
    }
  }
  return failed
}

async function removeFrom(client: KubeClient, paths: readonly string[]): Promise<number> {
  let failed = 0
  for (const path of paths) {
    const { objects, mistakes } = await readFrom(path)
    for (const { place, message } of mistakes) {
      failed++
      process.stderr.write(`${place.file}:${place.line}: ${message}\n`)
    }
    for (const { object, place } of [...objects].reverse()) {
      try {
        print(`${refOf(object)} ${(await deleteObject(client, object)) ? 'deleted' : 'was not there'}`)
      } catch (cause) {
        failed++
        process.stderr.write(`${place.file}:${place.line}: ${refOf(object)}: ${(cause as Error).message}\n`)
      }
    }
  }
  return failed
}

export async function remove(words: readonly string[], options: DeleteOptions): Promise<void> {
  const { filename, selector } = options
  if (words.length === 0 && !filename)
    throw new UsageError('what? wishbone delete KIND NAME, KIND/NAME, KIND -l LABELS, or -f PATH')
  const targets = targetsOf(words)
  for (const { kindWord, names } of targets) {
    if (names.length === 0 && !selector)
      throw new UsageError(`which ${kindWord}? wishbone delete ${kindWord} NAME, or -l LABELS`)
    if (names.length > 0 && selector) throw new UsageError('give names or -l LABELS, not both')
  }
  const client = connectCluster(options)
  let failed = 0
  try {
    for (const { kindWord, names } of targets) {
      const kind = await client.kindNamed(kindWord)
      const chosen = selector
        ? (await listObjects(client, kind, kind.namespaced ? client.config.namespace : undefined, selector)).map(
            (object) => object.metadata.name,
          )
        : names
      if (chosen.length === 0) print(`no ${kind.plural} with ${selector}`)
      failed += await removeNamed(client, kind, chosen)
    }
    if (filename) failed += await removeFrom(client, filename)
  } finally {
    client.close()
  }
  if (failed > 0) throw new UsageError(`${failed} could not be deleted`)
}
