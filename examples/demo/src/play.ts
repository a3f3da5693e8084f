// Plays scenes one after the other and tells a person what happens.
import type { Cluster } from '@wishbone/testing/cluster'
import { Difference, type Scene, type Stage } from './scene.ts'

export interface Theatre {
  readonly cluster: Cluster
  readonly say: (line: string) => void
  readonly gatewayUrl: Stage['gatewayUrl']
}

function shown(observed: unknown): string {
  const text = typeof observed === 'string' ? observed : JSON.stringify(observed)
  return text === undefined ? 'nothing' : text.length > 400 ? `${text.slice(0, 400)} …` : text
}

function stageFor(theatre: Theatre): Stage {
  return {
    cluster: theatre.cluster,
    gatewayUrl: theatre.gatewayUrl,
    doing: (text) => theatre.say(`  done      ${text}`),
    check(expected, holds, observed) {
      theatre.say(`  expected  ${expected}`)
      theatre.say(`  ${holds ? 'observed' : 'DIFFERS '}  ${shown(observed)}`)
      if (!holds) throw new Difference(expected, shown(observed))
    },
    notApplicable: (what, why) => theatre.say(`  not here  ${what}: ${why}`),
  }
}

/** True when every scene went as expected; stops at the first that did not. */
export async function playScenes(scenes: readonly Scene[], theatre: Theatre): Promise<boolean> {
  const stage = stageFor(theatre)
  for (const scene of scenes) {
    theatre.say(`\nScene ${scene.number}: ${scene.title}`)
    const started = Date.now()
    try {
      await scene.play(stage)
    } catch (cause) {
      if (!(cause instanceof Difference)) theatre.say(`  DIFFERS   ${(cause as Error).message}`)
      theatre.say(`  scene ${scene.number} failed after ${((Date.now() - started) / 1000).toFixed(1)} s`)
      return false
    }
    theatre.say(`  scene ${scene.number} passed in ${((Date.now() - started) / 1000).toFixed(1)} s`)
  }
  return true
}
