// Scene 10: without its controller the mesh serves on; when it returns, an edit takes effect.

import { type Distribution, isReady, until } from '@wishbone/testing/cluster'
import { onePod, reviews } from '../cast.ts'
import { reviewsByUser } from '../given.ts'
import { manifest } from '../manifest.ts'
import type { Scene } from '../scene.ts'

interface Scaled {
  readonly spec: { readonly replicas: number }
}

export const controllerDown: Scene = {
  number: 10,
  title: 'The controller is killed and returns',
  async play(stage) {
    const { cluster, doing, check } = stage
    await reviewsByUser(stage)
    const client = await onePod(cluster, 'bookinfo', 'app=client')
    const { spec } = (await cluster.get('deployments', 'wishbone-system', 'wishbone-controller')) as unknown as Scaled
    const replicas = Math.max(spec.replicas, 1)
    const scale = async (count: number): Promise<void> => {
      doing(`kubectl -n wishbone-system scale deployment wishbone-controller --replicas=${count}`)
      await cluster.patch('deployments', 'wishbone-system', 'wishbone-controller', { spec: { replicas: count } })
    }
    const bringBack = async (): Promise<void> => {
      await scale(replicas)
      await until('the controller is ready', async () =>
        (await cluster.pods('wishbone-system', 'app=wishbone-controller')).some(isReady),
      )
    }
    let back = false
    await using _back = { [Symbol.asyncDispose]: async () => void (back || (await bringBack())) }
    await scale(0)
    await until(
      'the controller is gone',
      async () => (await cluster.pods('wishbone-system', 'app=wishbone-controller')).length === 0,
    )
    const alone = await cluster.toolbox<Distribution>(
      client,
      'http',
      reviews,
      '--count',
      '100',
      '--header',
      'end-user: jason',
    )
    check(
      'traffic goes on with the last configuration',
      alone.statuses['200'] === 100 && Object.keys(alone.servedBy).every((pod) => pod.startsWith('reviews-v2')),
      alone.servedBy,
    )
    doing('kubectl apply -f 03-reviews-split.yaml   (nobody is there to read it)')
    await cluster.apply(manifest('03-reviews-split'))
    await bringBack()
    back = true
    const split = await until('the edit takes effect', async () => {
      const seen = await cluster.toolbox<Distribution>(
        client,
        'http',
        reviews,
        '--count',
        '60',
        '--header',
        'end-user: jason',
      )
      return Object.keys(seen.servedBy).some((pod) => pod.startsWith('reviews-v1')) ? seen : undefined
    })
    check('jason is in the 90/10 split now', split.statuses['200'] === 60, [split.statuses, split.servedBy])
  },
}
