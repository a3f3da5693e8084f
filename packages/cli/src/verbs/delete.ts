// wishbone delete -f PATH, or KIND NAME.
import { deleteObject, refOf } from '../kube/objects.ts'
import { readFrom } from './apply.ts'
import { type ClusterOptions, connectCluster, print, UsageError } from './context.ts'

export async function remove(
  words: readonly string[],
  options: ClusterOptions & { readonly filename?: readonly string[] },
): Promise<void> {
  const [word, name] = words
  const client = connectCluster(options)
  let failed = 0
  try {
    if (word !== undefined) {
      if (!name) throw new UsageError(`which ${word}? wishbone delete ${word} NAME`)
      const kind = await client.kindNamed(word)
      await client.request('DELETE', client.pathOf(kind, client.config.namespace, name))
      return print(`${kind.singular}/${name} deleted`)
    }
    if (!options.filename) throw new UsageError('what? wishbone delete KIND NAME, or -f PATH')
    for (const path of options.filename) {
      const { objects, mistakes } = await readFrom(path)
      for (const { place, message } of mistakes) {
        failed++
        process.stderr.write(`${place.file}:${place.line}: ${message}\n`)
      }
      for (const { object } of [...objects].reverse()) {
        print(`${refOf(object)} ${(await deleteObject(client, object)) ? 'deleted' : 'was not there'}`)
      }
    }
  } finally {
    client.close()
  }
  if (failed > 0) throw new UsageError(`${failed} of the documents could not be read`)
}
