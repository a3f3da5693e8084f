// Scene 8: an L4 policy gives the same answers before and after a route brings a waypoint; STRICT refuses plaintext.

import { type Outcome, until } from '@wishbone/testing/cluster'
import { details, onePod, routeAccepted } from '../cast.ts'
import { bookinfoEnrolled } from '../given.ts'
import { manifest } from '../manifest.ts'
import type { Scene } from '../scene.ts'

const answered = (outcome: Outcome): boolean => outcome.status === 200
const seen = (outcome: Outcome): unknown => outcome.status ?? outcome.error

export const policy: Scene = {
  number: 8,
  title: 'L4 policies, with and without a waypoint; STRICT mTLS',
  async play(stage) {
    const { cluster, doing, check } = stage
    await bookinfoEnrolled(stage)
    const allowed = await onePod(cluster, 'bookinfo', 'app=client')
    const denied = await onePod(cluster, 'bookinfo', 'app=toolbox')
    const stranger = await onePod(cluster, 'outside', 'app=client')
    doing('kubectl apply -f 08-policy.yaml')
    await cluster.apply(manifest('08-policy'))
    const refused = await until('the policy is in force', async () => {
      const answer = await cluster.toolbox(denied, 'http', details)
      return answered(answer) ? undefined : answer
    })
    check('an identity that is not named is refused', !answered(refused), seen(refused))
    const passed = await cluster.toolbox(allowed, 'http', details)
    check('the named one passes', answered(passed), seen(passed))
    const plain = await cluster.toolbox(stranger, 'http', details)
    check('plaintext without an identity is refused', !answered(plain), seen(plain))

    doing('kubectl apply -f 08-details-route.yaml   (its automatic waypoint comes up)')
    await cluster.apply(manifest('08-details-route'))
    await routeAccepted(cluster, 'httproutes', 'bookinfo', 'details')
    const through = await until('details is behind its waypoint', async () => {
      const answer = await cluster.toolbox(allowed, 'http', details)
      return answer.headers?.['x-through'] === 'waypoint' ? answer : undefined
    })
    check('the named identity still passes, through the waypoint', answered(through), seen(through))
    const still = await cluster.toolbox(denied, 'http', details)
    check('the other is still refused', !answered(still), seen(still))
    const server = await onePod(cluster, 'bookinfo', 'app=details')
    const direct = `http://${server.status?.podIP}:9080/details/0`
    const [byIp, byIpDenied] = [
      await cluster.toolbox(allowed, 'http', direct),
      await cluster.toolbox(denied, 'http', direct),
    ]
    check('the same answers by pod IP', answered(byIp) && !answered(byIpDenied), [seen(byIp), seen(byIpDenied)])
    await cluster.remove(manifest('08-details-route'))
    await cluster.remove(manifest('08-policy'))
    await until('the policy is gone', async () => answered(await cluster.toolbox(denied, 'http', direct)))

    const before = await cluster.toolbox(stranger, 'http', direct)
    check('without STRICT plaintext from outside the mesh is served', answered(before), seen(before))
    doing('kubectl apply -f 08-strict.yaml')
    await cluster.apply(manifest('08-strict'))
    const strict = await until('STRICT is in force', async () => {
      const answer = await cluster.toolbox(stranger, 'http', direct)
      return answered(answer) ? undefined : answer
    })
    check('STRICT refuses it', !answered(strict), seen(strict))
    const inside = await cluster.toolbox(denied, 'http', direct)
    check('the mesh goes on', answered(inside), seen(inside))
    await cluster.remove(manifest('08-strict'))
    await until('plaintext is served again', async () => answered(await cluster.toolbox(stranger, 'http', direct)))
  },
}
