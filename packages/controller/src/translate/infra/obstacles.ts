// Why the API server has not taken what a Gateway needs, in the words of those who can mend it.
import type { World } from '../world.ts'
import { kindsOfKeys } from './objects.ts'
import type { Overlay } from './parameters.ts'

/** A sentence for each object of this `<namespace>/<name>`, with the parameters that went into it. */
export function obstaclesOf({ snapshot }: World, name: string, overlays: readonly Overlay[]): readonly string[] {
  return kindsOfKeys.flatMap(([key, kind]) => {
    const obstacle = snapshot.blocked?.get(`${kind}/${name}`)
    if (!obstacle) return []
    if (obstacle.kind === 'foreign') return [obstacle.message]
    const sources = overlays.filter(({ texts }) => texts[key]).map(({ source }) => source)
    return sources.length === 0
      ? [`the API server does not accept ${kind} ${name}: ${obstacle.message}`]
      : [
          `${sources.join(' and ')}, key ${key}: the API server does not accept ${kind} ${name} with it: ${obstacle.message}; correct the key`,
        ]
  })
}
