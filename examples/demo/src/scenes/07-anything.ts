// Scene 7: applications as they come, unchanged and enrolled.

import { type Cluster, type Outcome, type PodObject, until } from '@wishbone/testing/cluster'
import { details, onePod } from '../cast.ts'
import { reviewsBehindWaypoint } from '../given.ts'
import { manifest } from '../manifest.ts'
import type { Scene, Stage } from '../scene.ts'

interface GrpcOutcome {
  readonly said?: string
  readonly trailers?: Readonly<Record<string, string>>
  readonly counted?: number
  readonly chatted?: number
  readonly failed?: string
  readonly error?: string
}

async function protocols(client: PodObject, { cluster, check }: Stage): Promise<void> {
  const first = await cluster.toolbox(client, 'tcp-first', 'toolbox', '9001')
  check(
    'a TCP server that speaks first is heard',
    JSON.stringify(first.heard ?? '').includes('speaks first'),
    first.heard ?? first.error,
  )
  const echo = await cluster.toolbox<{ same?: boolean; received?: number; error?: string }>(
    client,
    'tcp-echo',
    'toolbox',
    '9000',
    '5000000',
  )
  check('5 MB come back the same, with half-close', echo.same === true, echo.received ?? echo.error)
  const grpc = await cluster.toolbox<GrpcOutcome>(client, 'grpc', 'toolbox:9002')
  check(
    'gRPC: trailers arrive',
    (grpc.trailers?.['x-trailer-from'] ?? '').startsWith('toolbox-'),
    grpc.trailers ?? grpc.error,
  )
  check(
    'gRPC: 1,000 streamed messages, a chat of 5, a status',
    grpc.counted === 1_000 && grpc.chatted === 5 && grpc.failed === '9 asked to fail',
    [grpc.counted, grpc.chatted, grpc.failed],
  )
  const socket = await cluster.toolbox(client, 'ws', 'ws://toolbox:8080/')
  check('a WebSocket echoes', socket.heard === 'over the wire', socket.heard ?? socket.error)
  const udp = await cluster.toolbox(client, 'udp', 'toolbox', '9004')
  check('UDP passes untouched', udp.heard === 'datagram', udp.heard ?? udp.error)
}

function ok(outcome: Outcome): boolean {
  return outcome.status === 200
}

const seen = (outcome: Outcome): unknown => outcome.status ?? outcome.error

/** The first answer of a pod that has just become Ready: it may not listen yet, nor its Service and name know it everywhere. */
function firstAnswer(cluster: Cluster, client: PodObject, url: string): Promise<Outcome> {
  return until(`an answer of ${url}`, async () => {
    const outcome = await cluster.toolbox(client, 'http', url)
    return ok(outcome) ? outcome : Promise.reject(new Error(String(seen(outcome))))
  })
}

async function apiServer(cluster: Cluster, client: PodObject): Promise<string> {
  const script = `const fs = require('fs'), https = require('https'), dir = '/var/run/secrets/kubernetes.io/serviceaccount/'
https.get({ host: 'kubernetes.default.svc', port: 443, path: '/version', ca: fs.readFileSync(dir + 'ca.crt'),
  headers: { authorization: 'Bearer ' + fs.readFileSync(dir + 'token', 'utf8') } },
  (r) => { console.log(r.statusCode); r.resume() }).on('error', (e) => console.log(e.message))`
  return (await cluster.run(client, ['node', '-e', script])).stdout.trim()
}

async function addresses(client: PodObject, { cluster, check }: Stage): Promise<void> {
  const server = await onePod(cluster, 'bookinfo', 'app=details')
  const direct = await cluster.toolbox(client, 'http', `http://${server.status?.podIP}:9080/details/0`)
  check('a direct call to a pod IP works', ok(direct), seen(direct))
  const outside = await cluster.toolbox(client, 'http', cluster.outsideUrl)
  check('an address outside the mesh works', ok(outside), seen(outside))
  const version = await apiServer(cluster, client)
  check('the API server answers a pod', version === '200', version)
}

async function workloads(client: PodObject, stage: Stage): Promise<void> {
  const { cluster, check, doing } = stage
  doing('kubectl apply -f 07-anything.yaml')
  await cluster.apply(manifest('07-anything'))
  const job = await until('the Job to end', async () => {
    const { status } = (await cluster.get('jobs', 'bookinfo', 'visitor')) as {
      status?: { succeeded?: number; failed?: number }
    }
    return status?.succeeded || status?.failed ? status : undefined
  })
  check('a Job calls details and exits', job.succeeded === 1, job)
  await onePod(cluster, 'bookinfo', 'app=early')
  check('an init container and a postStart hook reach the mesh', true, 'both got 200, or the pod would not be ready')
  const host = await onePod(cluster, 'bookinfo', 'app=on-node')
  const toHost = await firstAnswer(cluster, client, 'http://on-node/')
  check("a pod on the node's network can be called", ok(toHost), seen(toHost))
  const fromHost = await cluster.toolbox(host, 'http', details)
  check('and can call into the mesh', ok(fromHost), seen(fromHost))
  await until('both pods of the StatefulSet', async () => {
    const pods = await cluster.pods('bookinfo', 'app=db')
    return (
      pods.length === 2 &&
      pods.every((pod) => pod.status?.conditions?.some((entry) => entry.type === 'Ready' && entry.status === 'True'))
    )
  })
  const headless = await cluster.toolbox(client, 'http', 'http://db:8080/')
  check('a headless Service answers', ok(headless), seen(headless))
  const byName = await firstAnswer(cluster, client, 'http://db-1.db:8080/')
  check(
    'a StatefulSet pod answers by its name',
    JSON.parse(byName.body ?? '{}').pod === 'db-1',
    byName.body?.slice(0, 60) ?? seen(byName),
  )
  doing('kubectl -n bookinfo label service db istio.io/use-waypoint=waypoint')
  await cluster.patch('services', 'bookinfo', 'db', { metadata: { labels: { 'istio.io/use-waypoint': 'waypoint' } } })
  const behind = await firstAnswer(cluster, client, 'http://db-0.db:8080/')
  check('also behind a waypoint', JSON.parse(behind.body ?? '{}').pod === 'db-0', behind.body?.slice(0, 60))
  const self = await onePod(cluster, 'bookinfo', 'app=toolbox')
  const answers = await Promise.all(
    Array.from({ length: 6 }, () => cluster.toolbox(self, 'http', 'http://toolbox:8080/')),
  )
  check('a pod calls its own Service', answers.every(ok), answers.map(seen))
}

async function anyUid(client: PodObject, { cluster, check, doing, notApplicable }: Stage): Promise<void> {
  doing('kubectl apply -f 07-any-uid.yaml')
  await cluster.apply(manifest('07-any-uid'))
  const pod = await until('the pod with UID 1337', async () => {
    const [first] = await cluster.pods('bookinfo', 'app=any-uid')
    if (!first) return undefined
    const reason = JSON.stringify(first.status ?? {})
    return first.status?.conditions?.some((entry) => entry.type === 'Ready' && entry.status === 'True') ||
      reason.includes('RunAsUserNotPossible')
      ? first
      : undefined
  })
  if (JSON.stringify(pod.status).includes('RunAsUserNotPossible')) {
    return notApplicable(
      'a process under an arbitrary UID',
      'this user has no subordinate ids, so a second UID cannot exist here',
    )
  }
  const uid = (await cluster.run(pod, ['node', '-p', 'process.getuid()'])).stdout.trim()
  check('a process runs under UID 1337', uid === '1337', uid)
  const to = await firstAnswer(cluster, client, 'http://any-uid:8080/')
  check('it can be called', ok(to), seen(to))
  const from = await cluster.toolbox(pod, 'http', details)
  check('and calls others', ok(from), seen(from))
}

export const anything: Scene = {
  number: 7,
  title: 'Unchanged applications of every kind work in the mesh',
  async play(stage) {
    await reviewsBehindWaypoint(stage)
    const client = await onePod(stage.cluster, 'bookinfo', 'app=client')
    await protocols(client, stage)
    await addresses(client, stage)
    await workloads(client, stage)
    await anyUid(client, stage)
  },
}
