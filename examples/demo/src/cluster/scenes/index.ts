// What goes beyond the demo and needs a cluster, in the order in which it is played; each makes what it needs.
import type { Scene } from '../../scene.ts'
import { onTheWire } from './12-on-the-wire.ts'
import { waypointLost } from './13-waypoint-lost.ts'
import { noWayAround } from './14-no-way-around.ts'
import { controllerAway } from './15-controller-down.ts'
import { brokenReferences } from './16-broken-references.ts'
import { istioLabels } from './17-istio-labels.ts'
import { manyPods } from './18-many-pods.ts'
import { oddUsersAndPorts } from './19-odd-users-and-ports.ts'
import { jobs } from './20-jobs.ts'
import { everyProgramReplaced } from './21-every-program-replaced.ts'
import { nodeCrash } from './22-node-crash.ts'
import { automaticWaypointDeleted } from './23-automatic-waypoint-deleted.ts'

export const clusterScenes: readonly Scene[] = [
  onTheWire,
  waypointLost,
  noWayAround,
  controllerAway,
  brokenReferences,
  istioLabels,
  manyPods,
  oddUsersAndPorts,
  jobs,
  everyProgramReplaced,
  nodeCrash,
  automaticWaypointDeleted,
]
