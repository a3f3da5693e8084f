// Programs that play a part in a world where the toolbox has none: servers that pods run, clients that are run in pods.
// The other files beside this one are run, not imported.
import { fileURLToPath } from 'node:url'
import type { Cluster, PodObject } from '../cluster/index.ts'

export type { ExpectOutcome, Greetings, StreamOutcome, TlsOutcome } from './client.ts'
export type { Received } from './collector.ts'
export { misfits } from './dump-shape.ts'
export type { PlaysServer } from './server.ts'

type Verb = 'expect' | 'greetings' | 'stream' | 'tls'

const pathOf = (program: string): string => fileURLToPath(new URL(`./${program}.ts`, import.meta.url))

/** Lines of images.yaml: `play/server:1` and `play/collector:1`. */
export const playImages = ['server', 'collector']
  .map((program) => `  play/${program}:1: { command: [node, ${pathOf(program)}] }\n`)
  .join('')

/** Runs a client in a pod; its line of JSON. */
export async function play<T>(cluster: Cluster, pod: PodObject, verb: Verb, ...words: string[]): Promise<T> {
  const result = await cluster.run(pod, ['node', pathOf('client'), verb, ...words])
  try {
    return JSON.parse(result.stdout.trim().split('\n').at(-1) ?? '') as T
  } catch {
    throw new Error(`${verb} in ${pod.metadata.name} ended with ${result.code}: ${result.stdout}${result.stderr}`)
  }
}
