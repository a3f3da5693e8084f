// What the gateways and waypoints of the suite have otherwise than by default, through the ConfigMaps that are for that.
import { applyObject, deleteObject, type KubeClient } from '@wishbone/cli'

// The suite waits 30 s for a namespace to go, and Kubernetes looks at one whose pods were not gone at once only after half
// of their grace period.
const grace = { terminationGracePeriodSeconds: 30 }
// Up to forty gateways at a time, nearly all idle, would not fit on two small nodes with what each asks for by default.
const requests = { containers: [{ name: 'wishbone', resources: { requests: { cpu: '40m', memory: '64Mi' } } }] }

const specs: Readonly<Record<string, unknown>> = { wishbone: { ...grace, ...requests }, 'wishbone-waypoint': grace }

const adjustments = Object.entries(specs).map(([className, spec]) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: {
    name: `conformance-${className}`,
    namespace: 'wishbone-system',
    labels: { 'gateway.istio.io/defaults-for-class': className },
  },
  data: { deployment: JSON.stringify({ spec: { template: { spec } } }) },
}))

/** The adjustments hold while `body` runs. */
export async function whileAdjusted<T>(client: KubeClient, body: () => Promise<T>): Promise<T> {
  try {
    for (const map of adjustments) await applyObject(client, map)
    return await body()
  } finally {
    for (const map of adjustments) await deleteObject(client, map)
  }
}
