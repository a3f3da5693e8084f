// Scene 4: one user gets v2; the application sees changed request headers, the client changed response headers.

import { until } from '@wishbone/testing/cluster'
import { onePod, reviews } from '../cast.ts'
import { reviewsBehindWaypoint } from '../given.ts'
import { manifest } from '../manifest.ts'
import type { Scene } from '../scene.ts'

export const headerMatch: Scene = {
  number: 4,
  title: 'A header match sends one user to v2; headers change on the way',
  async play(stage) {
    const { cluster, doing, check } = stage
    await reviewsBehindWaypoint(stage)
    const client = await onePod(cluster, 'bookinfo', 'app=client')
    doing('kubectl apply -f 04-reviews-by-user.yaml')
    await cluster.apply(manifest('04-reviews-by-user'))
    const asJason = ['--header', 'end-user: jason', '--header', 'x-unwanted: secret', '--header', 'x-scene: client']
    const jason = await until('jason is sent to v2', async () => {
      const answer = await cluster.toolbox(client, 'http', reviews, ...asJason)
      return answer.headers?.['x-routed-by'] === 'header-match' ? answer : undefined
    })
    const body = JSON.parse(jason.body ?? '{}') as { version: string; received: Record<string, string> }
    check('jason gets v2', body.version === 'v2', body.version)
    check('the application sees x-tester set', body.received['x-tester'] === 'yes', body.received['x-tester'])
    check(
      'x-scene is added to what the client sent',
      body.received['x-scene']?.replaceAll(' ', '') === 'client,4',
      body.received['x-scene'],
    )
    check('x-unwanted is gone', body.received['x-unwanted'] === undefined, body.received['x-unwanted'] ?? 'absent')
    check(
      'the client sees x-routed-by',
      jason.headers?.['x-routed-by'] === 'header-match',
      jason.headers?.['x-routed-by'],
    )
    const other = await cluster.toolbox(client, 'http', reviews, '--header', 'end-user: anna')
    const version = (JSON.parse(other.body ?? '{}') as { version?: string }).version
    check('anna gets v1, unchanged', version === 'v1' && other.headers?.['x-routed-by'] === undefined, version)
  },
}
