// What a scene relies on. Played in order everything is there already; played alone, a scene makes it.
import { until } from '@wishbone/testing/cluster'
import { allEnrolled, onePod, reviews, routeAccepted } from './cast.ts'
import { manifest } from './manifest.ts'
import type { Stage } from './scene.ts'

const modeLabel = 'istio.io/dataplane-mode'
const waypointLabel = 'istio.io/use-waypoint'

/** `bookinfo` is in the mesh, or out of it. */
export async function bookinfoEnrolled({ cluster, doing }: Stage, wanted = true): Promise<void> {
  const { metadata } = await cluster.get('namespaces', undefined, 'bookinfo')
  if ((metadata.labels?.[modeLabel] === 'ambient') !== wanted) {
    doing(`kubectl label namespace bookinfo ${modeLabel}${wanted ? '=ambient' : '-'}`)
    await cluster.patch('namespaces', undefined, 'bookinfo', {
      metadata: { labels: { [modeLabel]: wanted ? 'ambient' : null } },
    })
  }
  await allEnrolled(cluster, wanted)
}

async function exists({ cluster }: Stage, kind: string, name: string): Promise<boolean> {
  return (await cluster.list(kind, 'bookinfo')).some((object) => object.metadata.name === name)
}

/** The waypoint `waypoint` and reviews behind it, by whatever route is there. */
export async function reviewsBehindWaypoint(stage: Stage): Promise<void> {
  const { cluster, doing } = stage
  await bookinfoEnrolled(stage)
  if (!(await exists(stage, 'httproutes', 'reviews'))) {
    doing('kubectl apply -f 03-reviews-split.yaml')
    await cluster.apply(manifest('03-reviews-split'))
  }
  const service = await cluster.get('services', 'bookinfo', 'reviews')
  if (service.metadata.labels?.[waypointLabel] !== 'waypoint') {
    doing(`kubectl -n bookinfo label service reviews ${waypointLabel}=waypoint`)
    await cluster.patch('services', 'bookinfo', 'reviews', { metadata: { labels: { [waypointLabel]: 'waypoint' } } })
  }
  await routeAccepted(cluster, 'httproutes', 'bookinfo', 'reviews')
  const client = await onePod(cluster, 'bookinfo', 'app=client')
  await until(
    'reviews to answer through its waypoint',
    async () => (await cluster.toolbox(client, 'http', reviews)).status === 200,
  )
}

/** reviews' users: jason gets v2, the others v1. */
export async function reviewsByUser(stage: Stage): Promise<void> {
  const { cluster } = stage
  await reviewsBehindWaypoint(stage)
  await cluster.apply(manifest('04-reviews-by-user'))
  const client = await onePod(cluster, 'bookinfo', 'app=client')
  await until('jason to be sent to v2', async () => {
    const answer = await cluster.toolbox(client, 'http', reviews, '--header', 'end-user: jason')
    return answer.headers?.['x-routed-by'] === 'header-match'
  })
}
