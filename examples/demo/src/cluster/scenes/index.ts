// What goes beyond the demo and needs a cluster, in the order in which it is played; each makes what it needs.
import type { Scene } from '../../scene.ts'

export const clusterScenes: readonly Scene[] = []
