// Scene 5: a delay for one user, an abort for a share of another's requests, nothing for the rest.

import { type Distribution, until } from '@wishbone/testing/cluster'
import { onePod, ratings } from '../cast.ts'
import { bookinfoEnrolled } from '../given.ts'
import { manifest } from '../manifest.ts'
import type { Scene } from '../scene.ts'

export const faults: Scene = {
  number: 5,
  title: 'Fault injection on ratings: 5 s for jason, failures for half of victor',
  async play(stage) {
    const { cluster, doing, check } = stage
    await bookinfoEnrolled(stage)
    const client = await onePod(cluster, 'bookinfo', 'app=client')
    doing('kubectl apply -f 05-ratings-faults.yaml')
    await cluster.apply(manifest('05-ratings-faults'))
    const victor = await until('victor meets faults', async () => {
      const seen = await cluster.toolbox<Distribution>(
        client,
        'http',
        ratings,
        '--count',
        '200',
        '--header',
        'end-user: victor',
      )
      return (seen.statuses['418'] ?? 0) > 0 ? seen : undefined
    })
    const aborted = victor.statuses['418'] ?? 0
    check('about half of 200 requests of victor are aborted with 418', aborted >= 70 && aborted <= 130, victor.statuses)
    const jason = await cluster.toolbox(client, 'http', ratings, '--header', 'end-user: jason')
    check(
      'jason waits 5 s and gets his answer',
      jason.status === 200 && jason.ms >= 5_000 && jason.ms < 6_500,
      `${jason.status} after ${jason.ms} ms`,
    )
    const others = await cluster.toolbox<Distribution & { ms: number }>(
      client,
      'http',
      ratings,
      '--count',
      '50',
      '--header',
      'end-user: anna',
    )
    check(
      'others notice nothing',
      others.statuses['200'] === 50 && others.ms < 3_000,
      `${JSON.stringify(others.statuses)} in ${others.ms} ms`,
    )
    doing('kubectl apply -f 03-ratings-automatic.yaml   (without faults again)')
    await cluster.apply(manifest('03-ratings-automatic'))
  },
}
