// Scene 1: without the mesh the application works, and its HTTP is readable on the link between the nodes.
import { until } from '@wishbone/testing/cluster'
import { crossing, details, tapped } from '../cast.ts'
import { bookinfoEnrolled } from '../given.ts'
import type { Scene } from '../scene.ts'

export const withoutTheMesh: Scene = {
  number: 1,
  title: 'The application runs without the mesh, readable on the wire',
  async play(stage) {
    const { cluster, doing, check } = stage
    await bookinfoEnrolled(stage, false)
    const { client, node } = await crossing(cluster, 'app=details')
    // Bookinfo has no readiness probes: a pod is Ready before its server listens.
    await until('details to listen', async () => {
      const { error } = await cluster.toolbox(client, 'http', details)
      return error === undefined || Promise.reject(new Error(error))
    })
    doing(`listening on the link of node ${node} while a client there calls details on another node`)
    const { answer, seen } = await tapped(cluster, client, node)
    check('details answers 200', answer.status === 200, answer.status ?? answer.error)
    check('the request is readable on the link', (seen.found['GET /details/0'] ?? 0) > 0, seen.found)
    check(
      'so is the answer',
      (seen.found['William Shakespeare'] ?? 0) > 0,
      `${seen.packets} TCP packets on ${seen.interface}`,
    )
  },
}
