// Smaller requests for the gateways of the suite. It has up to forty at a time, all nearly idle: with what is asked for by
// default they would not fit on two small nodes.
import { applyObject, deleteObject, type KubeClient } from '@wishbone/cli'

const small = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: {
    name: 'conformance-requests',
    namespace: 'wishbone-system',
    labels: { 'gateway.istio.io/defaults-for-class': 'wishbone' },
  },
  data: {
    deployment: JSON.stringify({
      spec: {
        template: {
          spec: { containers: [{ name: 'wishbone', resources: { requests: { cpu: '10m', memory: '64Mi' } } }] },
        },
      },
    }),
  },
}

/** Holds while `body` runs. */
export async function withSmallRequests<T>(client: KubeClient, body: () => Promise<T>): Promise<T> {
  await applyObject(client, small)
  try {
    return await body()
  } finally {
    await deleteObject(client, small)
  }
}
