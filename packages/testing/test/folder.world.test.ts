// `wishbone up` on a folder with mistakes: each is named with its file and line, everything else is in force, and what is
// mended applies without a restart.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startWorld, type World } from '../src/world/index.ts'

const objects = `apiVersion: v1
kind: Namespace
metadata: { name: bad }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: good, namespace: bad }
data: { a: first }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: good, namespace: bad }
data: { a: second }
---
apiVersion: v1
kind: Service
metadata: { name: typed, namespace: bad }
spec:
  ports:
  - port: http
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRout
metadata: { name: kind, namespace: bad }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: field, namespace: bad }
spec:
  parentRef: [{ name: g }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: nowhere, namespace: bad }
spec:
  parentRefs: [{ name: nobody }]
---
apiVersion: v1
kind: Namespace
metadata: { name: ways, labels: { istio.io/use-waypoint: absent } }
---
apiVersion: v1
kind: Service
metadata: { name: way, namespace: bad, labels: { istio.io/use-waypoint: none-such } }
spec: { ports: [{ port: 80 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: bytes, namespace: bad }
spec:
  gatewayClassName: wishbone
  listeners:
  - { name: tcp, port: 9000, protocol: TCP }
  - { name: udp, port: 9000, protocol: UDP }
---
apiVersion: v1
kind: Secret
metadata: { name: certificate, namespace: bad }
type: kubernetes.io/tls
stringData: { tls.crt: garbage, tls.key: garbage }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: bad }
spec:
  gatewayClassName: wishbone
  listeners:
  - { name: https, port: 443, protocol: HTTPS, tls: { certificateRefs: [{ name: certificate }] } }
---
apiVersion: v1
kind: Pod
metadata: { name: unmapped, namespace: bad }
spec: { containers: [{ name: c, image: nothing }] }
---
apiVersion: v1
kind: Pod
metadata: { name: crashing, namespace: bad }
spec: { containers: [{ name: c, image: wishbone/toolbox:0.1.0, command: [sh, -c, exit 7] }] }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: broken, namespace: bad
`

const told = (world: World, kind: 'warning' | 'note'): readonly string[] =>
  world.events.flatMap((event) => (event.event === kind ? [event.text] : []))

async function until(world: World, kind: 'warning' | 'note', pattern: RegExp): Promise<void> {
  for (let tries = 0; tries < 100 && !told(world, kind).some((text) => pattern.test(text)); tries++) await delay(100)
  expect(told(world, kind)).toContainEqual(expect.stringMatching(pattern))
}

test('every mistake of a folder is told once, at its line, and harms nothing else', async () => {
  await using world = await startWorld({ objects, nodes: 1 })
  for (const pattern of [
    /objects\.yaml:10: ConfigMap bad\/good: .*objects\.yaml:5 already/,
    /objects\.yaml:20: Service bad\/typed: not applied: spec\.ports\[0\]\.port.*integer/,
    /objects\.yaml:22: HTTPRout bad\/kind: .*did you mean HTTPRoute\?/,
    /objects\.yaml:30: HTTPRoute bad\/field: not applied: unknown field "spec\.parentRef"/,
    /objects\.yaml:32: HTTPRoute bad\/nowhere: nothing serves its parent Gateway bad\/nobody/,
    /objects\.yaml:38: Namespace ways: there is no waypoint ways\/absent.*\(WaypointMissing\)/,
    /objects\.yaml:42: Service bad\/way: there is no waypoint bad\/none-such.*WaypointMissing/,
    /objects\.yaml:62: Gateway bad\/edge: listener https: .*certificate/,
    /pod bad\/unmapped: ImageNotMapped: .*'nothing'/,
    /pod bad\/crashing: BackOff: .*exit status 7.*kubectl logs/,
    /objects\.yaml:\d+: YAML: /,
  ])
    await until(world, 'warning', pattern)
  await until(world, 'note', /^bad\/bytes-wishbone port 9000: udp:\/\/\S+:9000, from pods only$/)
  expect(await world.sandbox.urlOf('bad', 'bytes-wishbone', 9000)).toMatch(/^tcp:\/\/localhost:\d+$/)
  expect(await world.cluster.get('configmap', 'bad', 'good')).toMatchObject({ data: { a: 'first' } })

  const before = told(world, 'warning').length
  const file = join(world.folder, 'more.yaml')
  writeFileSync(file, 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: more, namespace: bad }\n')
  await until(world, 'note', /^applied 1 object$/)
  rmSync(file)
  await until(world, 'note', /^deleted 1 object$/)
  expect(told(world, 'warning').slice(before)).not.toContainEqual(expect.stringContaining('objects.yaml'))

  const path = join(world.folder, 'objects.yaml')
  writeFileSync(path, readFileSync(path, 'utf8').replace('port: http', 'port: 80'))
  await until(world, 'note', /applied \d+ objects/)
  expect(await world.cluster.get('service', 'bad', 'typed')).toMatchObject({ spec: { ports: [{ port: 80 }] } })
})
