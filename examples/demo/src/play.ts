// Plays scenes one after the other and tells a person what happens.
import type { Cluster } from '@wishbone/testing/cluster'
import { Difference, type Scene, type Stage } from './scene.ts'

export interface Theatre extends Pick<Stage, 'gatewayUrl' | 'shortCertificates' | 'earlierImage' | 'crashNode'> {
  readonly cluster: Cluster
  readonly say: (line: string) => void
}

function shown(observed: unknown): string {
  const text = typeof observed === 'string' ? observed : JSON.stringify(observed)
  return text === undefined ? 'nothing' : text.length > 400 ? `${text.slice(0, 400)} …` : text
}

function stageFor(theatre: Theatre): Stage {
  return {
    cluster: theatre.cluster,
    gatewayUrl: theatre.gatewayUrl,
    shortCertificates: theatre.shortCertificates,
    earlierImage: theatre.earlierImage,
    crashNode: theatre.crashNode,
    doing: (text) => theatre.say(`  done      ${text}`),
    check(expected, holds, observed) {
      theatre.say(`  expected  ${expected}`)
      theatre.say(`  ${holds ? 'observed' : 'DIFFERS '}  ${shown(observed)}`)
      if (!holds) throw new Difference(expected, shown(observed))
    },
    notApplicable: (what, why) => theatre.say(`  not here  ${what}: ${why}`),
  }
}

/** What went wrong, and after it what went wrong when the scene was put in order again. */
function failures(cause: unknown): readonly Error[] {
  if (cause instanceof SuppressedError) return [...failures(cause.suppressed), ...failures(cause.error)]
  return [cause instanceof Error ? cause : new Error(String(cause))]
}

/** What differed, in one line; undefined when the scene went as expected. */
export async function playScene(scene: Scene, theatre: Theatre): Promise<string | undefined> {
  theatre.say(`\nScene ${scene.number}: ${scene.title}`)
  const started = Date.now()
  const after = (): string => `${((Date.now() - started) / 1000).toFixed(1)} s`
  try {
    await scene.play(stageFor(theatre))
  } catch (cause) {
    const found = failures(cause)
    for (const one of found) if (!(one instanceof Difference)) theatre.say(`  DIFFERS   ${one.message}`)
    theatre.say(`  scene ${scene.number} failed after ${after()}`)
    return found.map(({ message }) => message).join('; then ')
  }
  theatre.say(`  scene ${scene.number} passed in ${after()}`)
  return undefined
}

/** True when every scene went as expected; stops at the first that did not. */
export async function playScenes(scenes: readonly Scene[], theatre: Theatre): Promise<boolean> {
  for (const scene of scenes) if ((await playScene(scene, theatre)) !== undefined) return false
  return true
}
