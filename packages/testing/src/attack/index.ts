// Attackers: programs for pods of a world, and what they find. The files beside this one are run, not imported.
import { fileURLToPath } from 'node:url'
import { type Cluster, type PodObject, until } from '../cluster/index.ts'

export type { AgentFindings } from './agent.ts'
export type { ControllerCall, ControllerFinding, ControllerTask } from './controller.ts'
export type { HboneFinding, HboneTask } from './hbone.ts'
export type { HttpFinding } from './http.ts'
export type { NamesFinding } from './names.ts'

type Attacker = 'agent' | 'controller' | 'hbone' | 'http' | 'names'

/** Runs an attacker in a pod; its line of JSON. */
export async function attack<T>(cluster: Cluster, pod: PodObject, attacker: Attacker, ...words: string[]): Promise<T> {
  const program = fileURLToPath(new URL(`./${attacker}.ts`, import.meta.url))
  const result = await cluster.run(pod, ['node', '--disable-warning=ExperimentalWarning', program, ...words])
  try {
    return JSON.parse(result.stdout.trim().split('\n').at(-1) ?? '') as T
  } catch {
    throw new Error(
      `attacker ${attacker} in ${pod.metadata.name} ended with ${result.code}: ${result.stdout}${result.stderr}`,
    )
  }
}

/** What tells one run of a program from the next one in the same pod. */
export function livesOf(pods: readonly PodObject[]): Readonly<Record<string, string>> {
  const lives = pods.map(({ metadata, status }) => {
    const [container] = status?.containerStatuses ?? []
    return [metadata.name, `${container?.restartCount} ${container?.containerID}`]
  })
  return Object.fromEntries(lives) as Record<string, string>
}

/** Waits for a line in the pods' logs that has all of these words. */
export async function logged(cluster: Cluster, pods: readonly PodObject[], ...words: readonly string[]): Promise<void> {
  await until(
    `a line with ${words.join(' and ')}`,
    async () => {
      for (const pod of pods) {
        const lines = (await cluster.logs(pod)).split('\n')
        if (lines.some((line) => words.every((word) => line.includes(word)))) return true
      }
      return false
    },
    5_000,
  )
}
