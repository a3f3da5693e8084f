// GatewayClasses that the controller makes by itself: Istio's name for waypoints, for those who move over with their
// manifests. The others come with the installation.
import type { Desired } from '../../model/index.ts'
import { gatewayApiVersion, istioWaypointClass, managedByLabel, meshController } from '../names.ts'
import type { World } from '../world.ts'

export function wantedClasses({ snapshot, settings }: World): readonly Desired[] {
  if (!settings.istioWaypointClass) return []
  const present = snapshot.gatewayClasses.find(({ metadata }) => metadata.name === istioWaypointClass)
  // Somebody made it for us: theirs to change.
  if (present?.spec.controllerName === meshController && present.metadata.labels?.[managedByLabel] === undefined)
    return []
  const object = {
    apiVersion: gatewayApiVersion,
    kind: 'GatewayClass',
    metadata: { name: istioWaypointClass },
    spec: { controllerName: meshController, description: 'Waypoints, under the name that Istio has for them.' },
  }
  return [{ kind: 'apply', object, unlessForeign: true }]
}
