import { expect, test } from 'vitest'
import { objectsOf, snapshotOf } from '../../../test/snapshot.ts'
import { defaultSettings } from '../../model/index.ts'
import { translate } from '../index.ts'

const of = (spec: string, labels = '{}') => `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: istio-waypoint, labels: ${labels} }
spec: { controllerName: ${spec} }`

test.each([
  ['none is there', '', true, true],
  [
    'it was made here',
    of('wishbone.dev/mesh-controller', '{ wishbone.dev/managed-by: wishbone-controller }'),
    true,
    true,
  ],
  ['an operator made it for this controller', of('wishbone.dev/mesh-controller'), true, false],
  ['it is Istio’s: for the deployer to say so', of('istio.io/mesh-controller'), true, true],
  ['nobody asked', '', false, false],
])('the class istio-waypoint, when %s', (_when, yaml, istioWaypointClass, wanted) => {
  const settings = { ...defaultSettings, istioWaypointClass }
  const { infra } = translate(snapshotOf(objectsOf(yaml)), settings)
  const classes = infra.filter((desired) => desired.kind === 'apply' && desired.object.kind === 'GatewayClass')
  expect(classes).toHaveLength(wanted ? 1 : 0)
  for (const desired of classes) expect(desired).toMatchObject({ unlessForeign: true })
})
