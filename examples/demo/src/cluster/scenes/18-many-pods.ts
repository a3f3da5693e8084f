// Scene 18: 200 pods of `pause` come and go in batches of 40; the mesh holds no more afterwards than before.
import { type Cluster, isLeaving, type PodObject, until } from '@wishbone/testing/cluster'
import { isEnrolled } from '../../cast.ts'
import type { Scene } from '../../scene.ts'
import { leaksAfterAMinute, settledFootprint } from '../footprint.ts'
import { stageNamespace } from '../namespaces.ts'

const namespace = 'e2e-many'
const batches = 5
const batchSize = 40

const start = `apiVersion: v1
kind: Namespace
metadata: { name: ${namespace}, labels: { istio.io/dataplane-mode: ambient } }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: pause, namespace: ${namespace} }
`

/** The nodes' own pause image, which every node has; elsewhere the one that everybody knows. */
async function pauseImage(cluster: Cluster): Promise<string> {
  const nodes = (await cluster.list('nodes')) as unknown as readonly {
    readonly status?: { readonly images?: readonly { readonly names?: readonly string[] }[] }
  }[]
  const names = nodes.map((node) => (node.status?.images ?? []).flatMap((image) => image.names ?? []))
  const everywhere = names[0]?.find((name) => /\/pause:[^@]+$/.test(name) && names.every((list) => list.includes(name)))
  return everywhere ?? 'registry.k8s.io/pause:3.10'
}

/** The probe never comes, but its port is exempted from capture on the node as long as the pod is there. */
const batch = (name: string, image: string): string => `apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  replicas: ${batchSize}
  selector: { matchLabels: { batch: ${name} } }
  template:
    metadata: { labels: { batch: ${name} } }
    spec:
      serviceAccountName: pause
      terminationGracePeriodSeconds: 1
      containers:
        - name: pause
          image: ${image}
          imagePullPolicy: IfNotPresent
          livenessProbe: { tcpSocket: { port: 9 }, initialDelaySeconds: 3600 }
`

export const manyPods: Scene = {
  number: 18,
  title: `${batches * batchSize} pods are enrolled and deleted in batches of ${batchSize}, and nothing is left of them`,
  async play({ cluster, doing, check }) {
    await using _namespace = await stageNamespace(cluster, namespace, start)
    const image = await pauseImage(cluster)
    const before = await settledFootprint(cluster)
    const seconds: string[] = []
    for (let index = 1; index <= batches; index++) {
      const name = `batch-${index}`
      const yaml = batch(name, image)
      const pods = async (): Promise<readonly PodObject[]> => cluster.pods(namespace, `batch=${name}`)
      const started = Date.now()
      doing(`${batchSize} pods of ${image}, batch ${index} of ${batches}`)
      await cluster.apply(yaml)
      await until(
        `${batchSize} pods to run in the mesh`,
        async () => {
          const inTheMesh = (await pods()).filter(
            (pod) => pod.status?.phase === 'Running' && isEnrolled(pod) && !isLeaving(pod),
          )
          if (inTheMesh.length === batchSize) return true
          throw new Error(`${inTheMesh.length} are`)
        },
        180_000,
      )
      seconds.push(`${((Date.now() - started) / 1000).toFixed(1)} s`)
      await cluster.remove(yaml)
      await until(
        'them to be gone',
        async () => {
          const left = (await pods()).length
          return left === 0 || Promise.reject(new Error(`${left} are left`))
        },
        180_000,
      )
    }
    check(`every batch of ${batchSize} ran in the mesh`, seconds.length === batches, seconds)
    const left = await leaksAfterAMinute(cluster, before)
    check(
      'no ztunnel and no node agent holds a descriptor, a pod or a certificate more than before',
      left.length === 0,
      left.length > 0 ? left : before,
    )
  },
}
