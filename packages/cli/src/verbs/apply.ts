// wishbone apply -f PATH: every object that can be applied is, every mistake is named with its file and line.
import { existsSync } from 'node:fs'
import { type FileContent, readPath, readText } from '@wishbone/runtime/manifests'
import { applyObject, refOf } from '../kube/objects.ts'
import { type ClusterOptions, connectCluster, print, UsageError } from './context.ts'

async function readInput(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

/** Reads `-` (standard input), a file or a folder; UsageError when there is none. */
export async function readFrom(path: string): Promise<Pick<FileContent, 'objects' | 'mistakes'>> {
  if (path === '-') return readText(await readInput(), '<stdin>')
  if (!existsSync(path)) throw new UsageError(`there is no file or folder ${path}`)
  const files = readPath(path)
  return { objects: files.flatMap((file) => file.objects), mistakes: files.flatMap((file) => file.mistakes) }
}

export async function apply(options: ClusterOptions & { readonly filename: readonly string[] }): Promise<void> {
  const client = connectCluster(options)
  let failed = 0
  try {
    for (const path of options.filename) {
      const { objects, mistakes } = await readFrom(path)
      for (const { place, message } of mistakes) {
        failed++
        process.stderr.write(`${place.file}:${place.line}: ${message}\n`)
      }
      for (const { object, place } of objects) {
        try {
          print(`${refOf(object)} ${await applyObject(client, object)}`)
        } catch (cause) {
          failed++
          process.stderr.write(`${place.file}:${place.line}: ${refOf(object)}: ${(cause as Error).message}\n`)
        }
      }
    }
  } finally {
    client.close()
  }
  if (failed > 0) throw new UsageError(`${failed} of the objects could not be applied; the others are in force`)
}
