// The API server as the real kubectl sees it. Skipped by name where there is no kubectl; with CI=true that fails.
import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiServer, startApiServer } from './server.ts'

const missing = spawnSync('kubectl', ['version', '--client']).status !== 0
const folder = mkdtempSync(join(tmpdir(), 'kubectl-'))
const gatewayApi = join(import.meta.dirname, '../../../../../deploy/crds/gateway-api')
let server: ApiServer

interface Run {
  readonly code: number
  readonly out: string
  readonly err: string
}

function kubectl(words: string, input?: string): Promise<Run> {
  return new Promise((resolve) => {
    const env = { ...process.env, KUBECONFIG: join(folder, 'kubeconfig'), HOME: folder }
    const child = execFile('kubectl', words.split(' '), { env }, (cause, out, err) =>
      resolve({ code: cause === null ? 0 : Number(cause.code ?? 1), out, err }),
    )
    child.stdin?.end(input)
  })
}

const deployment = (image: string, more = ''): string => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, labels: { app: web } }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: main, image: ${image}${more} }] }
`

describe.skipIf(missing && process.env.CI !== 'true')('kubectl', () => {
  beforeAll(async () => {
    const { createServer } = await import('node:net')
    const probe = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => probe.on('listening', resolve))
    const { port } = probe.address() as { port: number }
    await new Promise((resolve) => probe.close(resolve))
    server = await startApiServer({
      stateDir: folder,
      apiPort: port,
      adminSocket: join(folder, 'admin.sock'),
      tlsSocket: join(folder, 'tls.sock'),
      addresses: [{ host: '127.0.0.1', port }],
      names: [],
      access: {
        logs: async () => Readable.from(['a line\n']),
        exec: async () => {
          throw new Error('not here')
        },
        connect: async () => {
          throw new Error('not here')
        },
      },
      log: () => {},
    })
    server.api.create(server.api.resource('/namespaces'), undefined, { metadata: { name: 'default' } })
  })
  afterAll(async () => {
    await server?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  test('apply creates, changes only what changed, and says so', { timeout: 30_000 }, async () => {
    expect((await kubectl('apply -f -', deployment('one'))).out).toMatch(/deployment.apps\/web created/)
    expect((await kubectl('apply -f -', deployment('one'))).out).toMatch(/unchanged/)
    await kubectl('scale deploy/web --replicas=5')
    expect((await kubectl('apply -f -', deployment('two').replace('  replicas: 2\n', ''))).out).toMatch(/configured/)
    const { out } = await kubectl(
      'get deploy web -o jsonpath={.spec.template.spec.containers[0].image},{.metadata.generation}',
    )
    expect(out).toBe('two,3')
  })

  test('apply names the field that is wrong', { timeout: 30_000 }, async () => {
    const unknown = await kubectl('apply -f -', deployment('two', ', imag: x'))
    expect(unknown).toMatchObject({
      code: 1,
      err: expect.stringMatching(/unknown field "spec.template.spec.containers\[0\].imag"/),
    })
    const wrong = await kubectl('apply -f -', deployment('two', ', command: x'))
    expect(wrong).toMatchObject({
      code: 1,
      err: expect.stringMatching(/containers\[0\].command.*must be of type array/),
    })
  })

  test('apply of a kind that does not exist says so', { timeout: 30_000 }, async () => {
    const wrong = await kubectl('apply -f -', 'apiVersion: v1\nkind: ConfgMap\nmetadata: { name: x }\n')
    expect(wrong.err).toMatch(/no matches for kind "ConfgMap" in version "v1"/)
  })

  test('server-side apply reports conflicts with the manager’s name', { timeout: 30_000 }, async () => {
    const clash = await kubectl('apply --server-side -f -', deployment('three'))
    expect(clash.err).toMatch(/conflict with "kubectl-client-side-apply".*image/)
    expect((await kubectl('apply --server-side --force-conflicts -f -', deployment('three'))).out).toMatch(
      /serverside-applied/,
    )
  })

  test('the Gateway API is installed and used', { timeout: 30_000 }, async () => {
    expect((await kubectl(`apply --server-side -f ${gatewayApi}`)).code).toBe(0)
    expect((await kubectl('wait --for=condition=Established crd/httproutes.gateway.networking.k8s.io')).code).toBe(0)
    const route = (field: string): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: r }
spec: { ${field}: [{ name: g }], hostnames: [a.example] }
`
    expect((await kubectl('apply -f -', route('parentRef'))).err).toMatch(/unknown field "spec.parentRef"/)
    expect((await kubectl('apply -f -', route('parentRefs'))).out).toMatch(/created/)
    expect((await kubectl('get httproutes')).out).toMatch(/NAME\s+HOSTNAMES\s+AGE\nr\s+\["a.example"\]/)
    const rules = await kubectl(
      'get httproute r -o jsonpath={.spec.rules[0].matches[0].path},{.spec.parentRefs[0].kind}',
    )
    expect(rules.out).toBe('{"type":"PathPrefix","value":"/"},Gateway')
  })

  test('label, annotate, describe, logs, delete', { timeout: 30_000 }, async () => {
    writeFileSync(
      join(folder, 'pod.json'),
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'p' },
        spec: { containers: [{ name: 'c', image: 'i' }] },
      }),
    )
    await kubectl(`create -f ${join(folder, 'pod.json')}`)
    expect((await kubectl('label pod p a=b')).out).toMatch(/labeled/)
    expect((await kubectl('annotate pod p c=d')).out).toMatch(/annotated/)
    expect((await kubectl('get pods -l a=b')).out).toMatch(
      /NAME\s+READY\s+STATUS\s+RESTARTS\s+AGE\np\s+0\/1\s+Pending\s+0/,
    )
    expect((await kubectl('describe pod p')).out).toMatch(/Annotations: +c: d[\s\S]*Image: +i/)
    expect((await kubectl('logs p')).out).toBe('a line\n')
    expect((await kubectl('delete pod p')).out).toMatch(/deleted/)
    expect((await kubectl('get pod p')).err).toMatch(/pods "p" not found/)
  })

  test('create, auth and explain, which speak protobuf and OpenAPI', { timeout: 30_000 }, async () => {
    expect((await kubectl('create namespace t')).out).toMatch(/created/)
    expect((await kubectl('-n t create configmap m --from-literal=a=b')).out).toMatch(/created/)
    expect((await kubectl('-n t create serviceaccount sa')).out).toMatch(/created/)
    expect((await kubectl('-n t create token sa')).out.split('.')).toHaveLength(3)
    expect((await kubectl('auth can-i list pods --as=system:serviceaccount:t:sa')).out).toMatch(/^no/)
    expect((await kubectl('explain service.spec.ports.port')).out).toMatch(/FIELD: port <integer>/)
    expect((await kubectl('delete namespace t')).out).toMatch(/deleted/)
  })
})
