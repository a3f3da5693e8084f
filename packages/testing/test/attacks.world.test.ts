// One world under attack: whatever is sent, the programs live, others are served, nothing gets past a policy, and the log
// names the reason.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createCsr, issueLeaf, selfSignedRoot } from '@wishbone/runtime/certificates'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type AgentFindings,
  attack,
  type ControllerCall,
  type ControllerFinding,
  type HboneFinding,
  type HttpFinding,
  livesOf,
  logged,
  type NamesFinding,
} from '../src/attack/index.ts'
import { type Cluster, type Outcome, type PodObject, until } from '../src/cluster/index.ts'
import { castOf, enrolled, readyPods, startWorld, type World, waypointOf } from '../src/world/index.ts'

const system = 'wishbone-system'
const clientId = 'spiffe://cluster.local/ns/shop/sa/client'
const podOf = (namespace: string) => `
---
apiVersion: v1
kind: Pod
metadata: { name: attacker, namespace: ${namespace}, labels: { app: attacker } }
spec: { containers: [{ name: attacker, image: wishbone/toolbox:0.1.0, command: [sleep, infinity] }] }
`
const objects = `${castOf()}
---
apiVersion: v1
kind: Namespace
metadata: { name: evil }${podOf('evil')}
---
apiVersion: v1
kind: Namespace
metadata: { name: rival, labels: { istio.io/dataplane-mode: ambient } }${podOf('rival')}`

let world: World
let cluster: Cluster
let ztunnels: readonly PodObject[]
let servers: readonly PodObject[]
let clients: readonly PodObject[]
/** In no mesh; in the mesh, in another namespace. */
let attacker: PodObject
let rival: PodObject
let lives: Readonly<Record<string, string>>
/** Files with a key and chain: of the mesh's authority, and of another one. */
let honest: string
let foreign: string

const onNode = (pods: readonly PodObject[], node: string | undefined): PodObject =>
  pods.find((pod) => pod.spec.nodeName === node)!
const programs = async (): Promise<readonly PodObject[]> =>
  (await cluster.pods(system, '')).concat(await cluster.pods('shop', 'gateway.networking.k8s.io/gateway-name'))
const get = (pod: PodObject, url = 'http://server:8080/', ...words: string[]): Promise<Outcome> =>
  cluster.toolbox(pod, 'http', url, ...words)

beforeAll(async () => {
  world = await startWorld({ objects })
  cluster = world.cluster
  await enrolled(cluster, 'shop')
  await enrolled(cluster, 'rival')
  ztunnels = await readyPods(cluster, system, 'app=ztunnel', 2)
  servers = await readyPods(cluster, 'shop', 'app=server', 2)
  clients = await readyPods(cluster, 'shop', 'app=client', 2)
  attacker = (await readyPods(cluster, 'evil', 'app=attacker'))[0]!
  rival = (await readyPods(cluster, 'rival', 'app=attacker'))[0]!
  honest = join(world.folder, 'honest.json')
  foreign = join(world.folder, 'foreign.json')
  const root = selfSignedRoot({ organization: 'cluster.local', ttlSeconds: 86_400 })
  const { csrPem, key } = await createCsr(clientId)
  const leaf = issueLeaf({ csrPem, uriSans: [clientId], ttlSeconds: 3600, signer: root })
  const keyPem = key.export({ type: 'pkcs8', format: 'pem' })
  writeFileSync(foreign, JSON.stringify({ key: keyPem, chain: leaf.pem + root.certPem }), { mode: 0o600 })
  await cluster.apply(waypointOf())
  await readyPods(cluster, 'shop', 'gateway.networking.k8s.io/gateway-name=waypoint')
  lives = livesOf(await programs())
})
afterAll(() => world?.[Symbol.asyncDispose]())

/** Nobody was restarted since the beginning. */
async function expectAllAlive(): Promise<void> {
  expect(livesOf(await programs())).toEqual(lives)
}

async function tokenFor(account: string, pod: PodObject, audience: string): Promise<string> {
  const { namespace, name, uid } = pod.metadata
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`
  const spec = { audiences: [audience], boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid } }
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec }
  const answer = await cluster.client.request<{ status: { token: string } }>('POST', path, { body })
  return answer.status.token
}

test('the controller gives certificates and configuration to those who may have them', async () => {
  const ztunnel = ztunnels.find((pod) => pod.spec.nodeName !== attacker.spec.nodeName)!
  const own = { file: '/var/run/secrets/tokens/istio-token' }
  const client = onNode(clients, ztunnel.spec.nodeName)
  const other = await tokenFor('ztunnel', ztunnel, 'somebody-else')
  const notProxy = await tokenFor('client', client, 'istio-ca')
  const calls: Record<string, ControllerCall> = {
    honest: { token: own, identity: clientId, keep: honest },
    noToken: { identity: clientId },
    noTokenAtAll: { identity: clientId, token: { text: 'abc.def.ghi' } },
    wrongAudience: { identity: clientId, token: { text: other } },
    otherAccount: { identity: 'spiffe://cluster.local/ns/shop/sa/server', token: { text: notProxy } },
    otherNode: { identity: 'spiffe://cluster.local/ns/evil/sa/default', token: own },
    otherDomain: { identity: 'spiffe://evil.local/ns/shop/sa/client', token: own },
    notSpiffe: { identity: 'https://cluster.local/ns/shop/sa/client', token: own },
    badRequest: { identity: clientId, token: own, csr: 'garbage' },
    noRequest: { identity: clientId, token: own, csr: 'none' },
    hugeRequest: { identity: clientId, csr: 'huge' },
    garbage: { token: own, raw: 'garbage' },
    truncated: { token: own, raw: 'truncated' },
    claims4GiB: { token: own, raw: 'claims4GiB' },
    ads: { token: own, ads: 'type.googleapis.com/istio.security.Authorization' },
    adsNoToken: { ads: 'type.googleapis.com/istio.workload.Address' },
    adsNotProxy: { ads: 'type.googleapis.com/istio.workload.Address', token: { text: notProxy } },
  }
  const found = await attack<Record<string, ControllerFinding>>(
    cluster,
    ztunnel,
    'controller',
    JSON.stringify({ calls }),
  )
  const statuses = Object.fromEntries(Object.entries(found).map(([name, { status }]) => [name, status]))
  const [ok, invalid, denied, exhausted, internal, unauthenticated] = [0, 3, 7, 8, 13, 16]
  expect(statuses).toEqual({
    honest: ok,
    noToken: unauthenticated,
    noTokenAtAll: unauthenticated,
    wrongAudience: unauthenticated,
    otherAccount: unauthenticated,
    otherNode: unauthenticated,
    otherDomain: unauthenticated,
    notSpiffe: unauthenticated,
    badRequest: invalid,
    noRequest: invalid,
    // Without a token it is not even read; maybe cut off while it was still being sent.
    hugeRequest: expect.toBeOneOf([unauthenticated, exhausted, -1]),
    garbage: internal,
    truncated: internal,
    claims4GiB: exhausted,
    ads: ok,
    adsNoToken: unauthenticated,
    adsNotProxy: denied,
  })
  const controllers = await readyPods(cluster, system, 'app=wishbone-controller')
  for (const reason of [
    'carries no bearer token',
    'not for',
    'may not ask for other identities',
    'no pod of evil/default is on the node',
    'is not of the trust domain',
    'is not a SPIFFE identity',
    'does not parse',
  ])
    await logged(cluster, controllers, 'refused a certificate', reason)
  await logged(cluster, controllers, 'refused a client of the configuration stream')
  await logged(cluster, controllers, 'a request cannot be read')
  for (const pod of controllers) {
    const log = await cluster.logs(pod)
    expect(log).not.toContain(other)
    expect(log).not.toContain(notProxy)
  }
  await expectAllAlive()
})

describe('HBONE', () => {
  type Findings = Readonly<Record<string, HboneFinding>>

  /** What holds wherever HBONE is spoken. */
  function expectRefusals(found: Findings): void {
    for (const [name, finding] of Object.entries(found)) expect([name, finding.after]).toEqual([name, 200])
    for (const name of [
      'noCertificate',
      'foreignCertificate',
      'tls12',
      'noAlpn',
      'otherAlpn',
      'plaintext',
      'deafClient',
    ])
      expect([name, found[name]?.closed]).toEqual([name, true])
    const goaways = Object.fromEntries(
      Object.entries(found).map(([name, one]) => [name, Number.parseInt(one.goaway ?? '-1', 10)]),
    )
    const [protocol, flow, size, compression, calm] = [1, 3, 6, 9, 11]
    expect(goaways).toMatchObject({
      garbage: protocol,
      http1: protocol,
      dataOnStreamZero: protocol,
      dataOnIdleStream: protocol,
      evenStream: protocol,
      hugeFrame: size,
      badHpack: compression,
      badPadding: protocol,
      interruptedHeaders: protocol,
      pushPromise: protocol,
      badSettings: flow,
      windowOverflow: flow,
      hugeHeaders: calm,
      continuationFlood: calm,
      rapidReset: calm,
      settingsFlood: calm,
      pingFlood: calm,
      emptyDataFlood: calm,
      unknownFrames: calm,
      beyondWindow: flow,
    })
    const refused = 7
    expect(found['tooManyStreams']?.resets).toMatchObject({ 401: refused })
    const statusOf = (name: string) => found[name]?.statuses[1]
    expect(statusOf('hpackBomb')).toBe(431)
    for (const name of ['get', 'noAuthority', 'badAuthority', 'portZero'])
      expect([name, statusOf(name)]).toEqual([name, 400])
  }

  const reasons = [
    'peer did not return a certificate',
    'self-signed certificate in certificate chain',
    'unsupported protocol',
    'did not agree on HTTP/2',
    'no application protocol',
    'does not begin with the HTTP/2 preface',
    'which is idle',
    'larger than allowed',
    'an integer that is too large',
    'more padding than payload',
    'interrupted by another frame',
    'PUSH_PROMISE',
    'window grows beyond',
    'a header block is larger than',
    'the headers are larger than the limit',
    'of the kind "reset"',
    'of the kind \\"ping\\"',
    'beyond the',
    'not a CONNECT request',
    'streams at once',
    'the peer does not read its answers',
  ]

  async function expectReasons(pod: PodObject): Promise<void> {
    const plain = (text: string) => text.replaceAll('\\', '')
    await until(
      'the reasons in the log',
      async () => {
        const log = plain(await cluster.logs(pod))
        const missing = reasons.filter((reason) => !log.includes(plain(reason)))
        if (missing.length > 0) throw new Error(`missing: ${missing.join(', ')}`)
        return true
      },
      3_000,
    )
  }

  test('at a pod: what is not for it is refused, and the pod is served on', async () => {
    const [server, another] = servers as [PodObject, PodObject]
    const ip = server.status!.podIP!
    const authorities: Record<string, number> = {
      [`${another.status!.podIP}:8080`]: 400,
      '10.96.0.1:443': 400,
      '127.0.0.1:8080': 400,
      '[::1]:8080': 400,
      '169.254.7.127:80': 400,
      [`${ip}:99999`]: 400,
      'kubernetes.default.svc.cluster.local:443': 503,
      'server.shop.svc.cluster.local:9999': 503,
    }
    const task = {
      host: ip,
      good: `${ip}:8080`,
      echo: `${ip}:9000`,
      honest,
      foreign,
      wrongAuthorities: Object.keys(authorities),
    }
    const found = await attack<Findings>(cluster, attacker, 'hbone', JSON.stringify(task))
    expectRefusals(found)
    expect(found['portOfProxy']?.statuses[1]).toBe(503)
    expect(found['closedPort']?.statuses[1]).toBe(503)
    for (const [authority, status] of Object.entries(authorities))
      expect([authority, found[`authority ${authority}`]?.statuses[1]]).toEqual([authority, status])
    const ztunnel = onNode(ztunnels, server.spec.nodeName)
    await expectReasons(ztunnel)
    await logged(cluster, [ztunnel], `${another.status!.podIP}:8080 is not served at ${ip}`)
    await expectAllAlive()
  })

  test('at a waypoint: it carries only what is bound to it', async () => {
    await cluster.patch('services', 'shop', 'server', { metadata: { labels: { 'istio.io/use-waypoint': 'waypoint' } } })
    const client = clients[0]!
    await until('the way through the waypoint', async () => (await get(client)).body?.includes('x-forwarded-for'))
    const [waypoint] = await readyPods(cluster, 'shop', 'gateway.networking.k8s.io/gateway-name=waypoint')
    const service = (await cluster.get('services', 'shop', 'server')) as unknown as { spec: { clusterIP: string } }
    const ip = service.spec.clusterIP
    const wrongAuthorities = [
      `${servers[0]!.status!.podIP}:8080`,
      '10.96.0.1:443',
      '127.0.0.1:8080',
      '127.0.0.1:15000',
      'kubernetes.default.svc.cluster.local:443',
      `${ip}:9999`,
    ]
    const task = {
      host: waypoint!.status!.podIP,
      good: `${ip}:8080`,
      echo: `${ip}:9000`,
      honest,
      foreign,
      wrongAuthorities,
    }
    const found = await attack<Findings>(cluster, attacker, 'hbone', JSON.stringify(task))
    expectRefusals(found)
    for (const authority of wrongAuthorities)
      expect([authority, found[`authority ${authority}`]?.statuses[1]]).toEqual([authority, 404])
    await expectReasons(waypoint!)
    await logged(cluster, [waypoint!], 'a CONNECT was refused', '10.96.0.1:443', 'not bound to this waypoint')
    await expectAllAlive()
  })
})

test('HTTP through a waypoint: what could be read in two ways is not forwarded', async () => {
  const found = await attack<Record<string, HttpFinding>>(cluster, clients[0]!, 'http', 'server', '8080')
  for (const [name, finding] of Object.entries(found)) expect([name, finding.after]).toEqual([name, 200])
  const expected: Record<string, readonly number[]> = {
    hugeHeader: [431],
    manyHeaders: [431],
    hugeUri: [431],
    connect: [405],
    // A plain request, whose body is only a body.
    upgradeWithBody: [200],
    connectionListsLength: [200],
    'h2 crlfInHeader': [400],
  }
  /** What costs the request only. */
  const goesOn = new Set(['h2 crlfInHeader'])
  for (const [name, { statuses, closed }] of Object.entries(found)) {
    const wanted = expected[name] ?? (name.startsWith('h2 ') ? [-1] : [400])
    expect([name, statuses]).toEqual([name, wanted])
    if (wanted[0] !== 200) expect([name, closed]).toEqual([name, !goesOn.has(name)])
  }
  await expectAllAlive()
})

test('the DNS of a pod answers whatever else it is sent', async () => {
  const name = 'server.shop.svc.cluster.local'
  const found = await attack<Record<string, NamesFinding>>(cluster, clients[0]!, 'names', name)
  const service = (await cluster.get('services', 'shop', 'server')) as unknown as { spec: { clusterIP: string } }
  for (const [attempt, { found: addresses }] of Object.entries(found))
    expect([attempt, addresses]).toEqual([attempt, [service.spec.clusterIP]])
  await expectAllAlive()
})

test("the node agent's sockets refuse what they cannot read", async () => {
  const [agent] = await readyPods(cluster, system, 'app=wishbone-node', 2)
  const { cni, zds } = await attack<AgentFindings>(cluster, agent!, 'agent')
  const statuses = Object.fromEntries(Object.entries(cni).map(([name, { status }]) => [name, status]))
  expect(statuses).toMatchObject({
    notJson: 400,
    notAnObject: 400,
    null: 400,
    nothing: 400,
    wrongTypes: 400,
    prototype: 400,
    // The answer may come while the rest is still being sent, to which the connection is closed then.
    huge: expect.toBeOneOf([413, 0]),
    unknownPod: 500,
    traversal: 500,
    otherPath: 404,
    otherMethod: 405,
    notHttp: 0,
  })
  for (const [name, { closed }] of Object.entries(zds)) expect([name, closed]).toEqual([name, true])
  await logged(cluster, [agent!], 'a sandbox was refused', 'not JSON')
  await logged(cluster, [agent!], 'a sandbox was refused', 'too long')
  await logged(cluster, [agent!], 'a connection to the CNI socket is closed')
  await logged(cluster, [agent!], 'ztunnel sent something unexpected')
  await expectAllAlive()
})

test('the controller shows its dumps to nobody else, and outlives a target that is no URL', async () => {
  const [controller] = await readyPods(cluster, 'wishbone-system', 'app=wishbone-controller')
  const script = `
    const http = require('node:http')
    const ask = (path) => new Promise((done) =>
      http.get({ host: '${controller!.status?.podIP}', port: 8080, path }, (r) => { r.resume(); done(r.statusCode) })
        .on('error', (e) => done(e.message)))
    Promise.all(['//[', '/debug/config', '/debug/clients', '/debug/statuses', '/ready'].map(ask)).then((all) => console.log(JSON.stringify(all)))`
  const { stdout } = await cluster.run(attacker, ['node', '-e', script])
  expect(JSON.parse(stdout)).toEqual([400, 403, 403, 403, 200])
  await expectAllAlive()
})

describe('policies', () => {
  const policyOf = (spec: string) => `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: guard, namespace: shop }
spec: ${spec}
`
  async function under(spec: string, check: () => Promise<void>): Promise<void> {
    await cluster.apply(policyOf(spec))
    try {
      await check()
    } finally {
      await cluster.remove(policyOf(spec))
    }
  }

  test('hold through the waypoint for every protocol, and what a client says of itself changes nothing', async () => {
    const [client] = clients as [PodObject]
    const spec =
      '{ selector: { matchLabels: { app: server } }, rules: [{ from: [{ source: { namespaces: [shop] } }] }] }'
    await under(spec, async () => {
      await until('the refusal', async () => (await get(rival, 'http://server.shop:8080/')).status === 403)
      const spoofed = [
        'baggage: k8s.namespace.name=shop,k8s.deployment.name=client',
        `x-forwarded-for: ${client.status!.podIP}`,
        `forwarded: for=${client.status!.podIP}`,
        `x-forwarded-client-cert: URI=${clientId}`,
        'x-istio-source: waypoint',
      ].flatMap((line) => ['--header', line])
      expect(await get(rival, 'http://server.shop:8080/', ...spoofed)).toMatchObject({ status: 403 })
      const [grpc, echo] = await Promise.all([
        cluster.toolbox<{ said: string }>(rival, 'grpc', 'server.shop:9002'),
        cluster.toolbox(rival, 'tcp-echo', 'server.shop', '9000', '1000'),
      ])
      expect(grpc.said).toContain('error 7')
      expect(echo.error).toBeDefined()
      expect((await get(client)).status).toBe(200)
      const [ownGrpc, ownEcho] = await Promise.all([
        cluster.toolbox<{ said: string }>(client, 'grpc', 'server:9002'),
        cluster.toolbox(client, 'tcp-echo', 'server', '9000', '1000'),
      ])
      expect(ownGrpc.said).not.toContain('error')
      expect(ownEcho.error).toBeUndefined()
    })
  })

  test.each([
    ['an address that is none', '{ rules: [{ from: [{ source: { ipBlocks: [not-an-address] } }] }] }'],
    ['a port that is none', '{ rules: [{ to: [{ operation: { ports: ["http"] } }] }] }'],
  ])('with %s let nobody in', async (_what, spec) => {
    const [client] = clients as [PodObject]
    await under(spec, async () => {
      await until('the refusal', async () => (await get(client)).status === 403)
      const direct = await get(client, `http://${servers[0]!.status!.podIP}:8080/`)
      expect(direct.status).toBeUndefined()
    })
    await until('an answer', async () => (await get(client)).status === 200)
  })

  test('of requests are judged by the waypoint as written, in any spelling, and nobody gets past it', async () => {
    const [client] = clients as [PodObject]
    const rules =
      '[{ to: [{ operation: { paths: [/admin*] } }] }, { when: [{ key: "request.headers[a]", values: [b] }] }]'
    await under(`{ action: DENY, rules: ${rules} }`, async () => {
      await until('the refusal', async () => (await get(client, 'http://server:8080/admin')).status === 403)
      for (const path of ['/x/..%2Fadmin', '//admin', '/%61dmin/x', '/admin;a=b'])
        expect([path, (await get(client, `http://server:8080${path}`)).status]).toEqual([path, 403])
      expect((await get(client, 'http://server:8080/', '--header', 'a: b')).status).toBe(403)
      expect((await get(client, 'http://server:8080/')).status).toBe(200)
      // Its ztunnel can judge none of this: whoever comes to the pod itself is refused.
      const direct = await get(client, `http://${servers[0]!.status!.podIP}:8080/`)
      expect(direct.status).toBeUndefined()
    })
    await until('an answer', async () => (await get(client, 'http://server:8080/admin')).status === 200)
  })
})

describe('never open by failure', () => {
  test('a killed waypoint: nothing goes past it', async () => {
    const [waypoint] = await readyPods(cluster, 'shop', 'gateway.networking.k8s.io/gateway-name=waypoint')
    const script = `
      const http = require('node:http'); const seen = []; const end = Date.now() + 4000
      const one = () => new Promise((done) => {
        const r = http.get({ host: 'server', port: 8080, agent: false, timeout: 1000 }, async (a) => {
          let t = ''; try { for await (const c of a) t += c } catch {}
          done(a.statusCode === 200 && !t.includes('x-forwarded-for') ? 'past' : String(a.statusCode)) })
        r.on('error', () => done('refused')); r.on('timeout', () => r.destroy()) })
      ;(async () => { while (Date.now() < end) { seen.push(await one()); await new Promise((d) => setTimeout(d, 20)) }
        console.log(JSON.stringify([...new Set(seen)])) })()`
    const load = cluster.run(clients[0]!, ['node', '-e', script])
    const path = `/api/v1/namespaces/shop/pods/${waypoint!.metadata.name}?gracePeriodSeconds=0`
    await new Promise((resolve) => setTimeout(resolve, 500))
    await cluster.client.request('DELETE', path)
    const seen = JSON.parse((await load).stdout) as string[]
    expect(seen).toContain('refused')
    expect(seen).not.toContain('past')
    await until('an answer', async () => (await get(clients[0]!)).status === 200)
  })

  test('without a controller: STRICT stays, and a ztunnel that knows nothing serves nothing', async () => {
    await cluster.patch('services', 'shop', 'server', { metadata: { labels: { 'istio.io/use-waypoint': null } } })
    await cluster.apply(`apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: shop }
spec: { mtls: { mode: STRICT } }
`)
    const [client] = clients as [PodObject]
    const server = onNode(servers, client.spec.nodeName)
    const url = `http://${server.status!.podIP}:8080/`
    await until('the refusal of plaintext', async () => (await get(attacker, url)).status === undefined)
    const scale = (replicas: number) =>
      cluster.patch('deployments', system, 'wishbone-controller', { spec: { replicas } })
    await scale(0)
    await until('no controller', async () => (await cluster.pods(system, 'app=wishbone-controller')).length === 0)
    expect((await get(attacker, url)).status).toBeUndefined()
    expect((await get(client, url)).status).toBe(200)
    const ztunnel = onNode(ztunnels, client.spec.nodeName)
    const path = `/api/v1/namespaces/${system}/pods/${ztunnel.metadata.name}?gracePeriodSeconds=0`
    await cluster.client.request('DELETE', path)
    await until('the next ztunnel with the pods', async () => {
      const pods = await cluster.pods(system, 'app=ztunnel')
      const next = onNode(pods, client.spec.nodeName)
      return next.metadata.name !== ztunnel.metadata.name && (await cluster.logs(next)).includes('pod added')
    })
    const [inside, outside, plain] = await Promise.all([
      get(client, url, '--timeout', '3000'),
      get(client, 'http://server:8080/', '--timeout', '3000'),
      get(attacker, url, '--timeout', '3000'),
    ])
    expect([inside.status, outside.status, plain.status]).toEqual([undefined, undefined, undefined])
    await scale(1)
    await until('an answer', async () => (await get(client, url)).status === 200)
    expect((await get(attacker, url)).status).toBeUndefined()
  })
})

test('no key and no token is in a log, a dump or a file that others may read', async () => {
  const secret = /PRIVATE KEY|eyJ[\w-]{20,}\.eyJ[\w-]{20,}\./
  const leaks: string[] = []
  const inspect = (where: string, text: string): void => {
    if (secret.test(text)) leaks.push(where)
  }
  const all = [...(await programs()), ...servers, ...clients]
  for (const pod of all) inspect(`log of ${pod.metadata.name}`, await cluster.logs(pod).catch(() => ''))
  const dump = async (pod: PodObject, port: number, ...paths: string[]): Promise<void> => {
    const script = `Promise.all(${JSON.stringify(paths)}.map(async (p) => (await fetch('http://localhost:${port}' + p)).text())).then((a) => console.log(a.join('\\n')))`
    const { stdout } = await cluster.run(pod, ['node', '-e', script])
    expect(stdout.length).toBeGreaterThan(100)
    inspect(`dump of ${pod.metadata.name}`, stdout)
  }
  const [controller] = await readyPods(cluster, system, 'app=wishbone-controller')
  const [waypoint] = await readyPods(cluster, 'shop', 'gateway.networking.k8s.io/gateway-name=waypoint')
  const [ztunnel] = await readyPods(cluster, system, 'app=ztunnel', 2)
  await Promise.all([
    dump(controller!, 8080, '/debug/config', '/debug/clients', '/debug/statuses'),
    dump(controller!, 15014, '/metrics'),
    dump(waypoint!, 15000, '/config_dump'),
    dump(ztunnel!, 15000, '/config_dump'),
  ])
  for (const entry of readdirSync(world.stateDir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const { mode, size } = statSync(path)
    if (size > 64 << 20) continue
    const isPrivate = (mode & 0o077) === 0 && !path.includes('/logs/') && !path.endsWith('.log')
    if (!isPrivate) inspect(path, readFileSync(path, 'latin1'))
  }
  expect(leaks).toEqual([])
})
