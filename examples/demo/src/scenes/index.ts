// The scenes in the order in which they are played; each relies on what the ones before it left behind.
import type { Scene } from '../scene.ts'
import { withoutTheMesh } from './01-without-the-mesh.ts'
import { oneLabel } from './02-one-label.ts'
import { waypoints } from './03-waypoints.ts'
import { headerMatch } from './04-header-match.ts'
import { faults } from './05-faults.ts'
import { retries } from './06-retries.ts'
import { anything } from './07-anything.ts'
import { policy } from './08-policy.ts'
import { certificates } from './09-certificates.ts'
import { controllerDown } from './10-controller-down.ts'
import { gateway } from './11-gateway.ts'

export const scenes: readonly Scene[] = [
  withoutTheMesh,
  oneLabel,
  waypoints,
  headerMatch,
  faults,
  retries,
  anything,
  policy,
  certificates,
  controllerDown,
  gateway,
]
