import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import WebSocket from 'ws'
import { type Execution, type PodAccess, PodAccessError } from '../../kubelet/access.ts'
import type { JsonMap } from '../objects/object.ts'
import { type ApiServer, startApiServer } from './server.ts'

interface Answer {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly body: JsonMap & { items?: JsonMap[]; metadata?: JsonMap; status?: JsonMap }
}

const folder = mkdtempSync(join(tmpdir(), 'api-'))
const adminSocket = join(folder, 'admin.sock')
const tlsSocket = join(folder, 'tls.sock')
let server: ApiServer
let adminToken: string
let echo: Server

/** A command that repeats its input and ends with the status it was given. */
function repeat(code: number): Execution {
  const stdin = new PassThrough()
  const exit = new Promise<number>((resolve) => stdin.on('end', () => resolve(code)))
  return { stdin, stdout: stdin, stderr: Readable.from(['complaint']), exit, kill: () => stdin.end() }
}

const access: PodAccess = {
  logs: async (_namespace, _pod, { tailLines }) => Readable.from([`tail ${tailLines}\n`]),
  exec: async (_namespace, _pod, { command }) => {
    if (command[0] === 'bad') throw new PodAccessError(400, 'container c does not run')
    return repeat(Number(command[1] ?? 0))
  },
  connect: async () => {
    const { connect } = await import('node:net')
    return connect((echo.address() as { port: number }).port, '127.0.0.1')
  },
}

function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const type = headers['content-type'] ?? 'application/json'
    const secure = headers.authorization !== undefined || headers['x-secure'] !== undefined
    const options = {
      method,
      path,
      headers: { ...headers, 'content-type': type },
      socketPath: secure ? tlsSocket : adminSocket,
      agent: false as const,
    }
    const onAnswer = (message: import('node:http').IncomingMessage): void => {
      const chunks: Buffer[] = []
      message.on('data', (chunk: Buffer) => chunks.push(chunk))
      message.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        const parsed = text.startsWith('{') ? (JSON.parse(text) as Answer['body']) : ({ text } as Answer['body'])
        resolve({ status: message.statusCode ?? 0, headers: message.headers, body: parsed })
      })
    }
    const request = secure
      ? httpsRequest({ ...options, ca: server.caPem, servername: 'kubernetes.default.svc' }, onAnswer)
      : httpRequest(options, onAnswer)
    request.on('error', reject)
    request.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

/** The events of a watch until `count` have come. */
function watch(path: string, count: number, headers: Record<string, string> = {}): Promise<JsonMap[]> {
  return new Promise((resolve, reject) => {
    const events: JsonMap[] = []
    const request = httpRequest({ socketPath: adminSocket, path, headers, agent: false }, (message) => {
      let rest = ''
      message.on('data', (chunk: Buffer) => {
        const lines = (rest + chunk.toString()).split('\n')
        rest = lines.pop() ?? ''
        for (const line of lines) events.push(JSON.parse(line) as JsonMap)
        if (events.length >= count) {
          resolve(events)
          request.destroy()
        }
      })
      message.on('end', () => resolve(events))
      message.on('error', () => {})
    })
    request.on('error', reject)
    request.end()
  })
}

const maps = '/api/v1/namespaces/w/configmaps'
const map = (name: string, labels: JsonMap = {}): JsonMap => ({
  kind: 'ConfigMap',
  apiVersion: 'v1',
  metadata: { name, labels },
  data: { a: 'b' },
})
const nameOf = (object: unknown): unknown => (object as { metadata: JsonMap }).metadata.name

beforeAll(async () => {
  echo = createServer((socket: Socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
  server = await startApiServer({
    stateDir: folder,
    apiPort: 4,
    adminSocket,
    tlsSocket,
    addresses: [],
    names: ['10.0.0.1'],
    access,
    log: () => {},
  })
  const kubeconfig = JSON.parse(readFileSync(join(folder, 'kubeconfig'), 'utf8')) as {
    users: { user: { token: string } }[]
  }
  adminToken = kubeconfig.users[0]!.user.token
  for (const name of ['w', 'x']) await call('POST', '/api/v1/namespaces', { metadata: { name } })
  await call('POST', '/api/v1/namespaces/x/serviceaccounts', { metadata: { name: 'sa' } })
  await call('POST', '/api/v1/namespaces/x/pods', {
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'c', image: 'i' }] },
  })
})

afterAll(async () => {
  await server.close()
  echo.close()
  rmSync(folder, { recursive: true })
})

test('a target that is no URL is refused, and nothing else happens', async () => {
  const status = await new Promise((resolve, reject) => {
    const asked = httpRequest({ socketPath: adminSocket, path: '//[' }, (message) => resolve(message.statusCode))
    asked.on('error', reject)
    asked.end()
  })
  expect(status).toBe(400)
  expect((await call('GET', '/api')).status).toBe(200)
})

test('the kubeconfig and the admin socket are for their owner only', () => {
  expect(statSync(join(folder, 'kubeconfig')).mode & 0o077).toBe(0)
  expect(statSync(adminSocket).mode & 0o077).toBe(0)
})

test('lists in pages of one version, and says 410 when that version is gone', async () => {
  for (const name of ['c', 'a', 'd', 'b', 'e']) await call('POST', maps, map(name))
  const first = (await call('GET', `${maps}?limit=2`)).body
  expect(first.items?.map(nameOf)).toEqual(['a', 'b'])
  expect(first.metadata).toMatchObject({ remainingItemCount: 3 })
  const second = (await call('GET', `${maps}?limit=2&continue=${String(first.metadata?.continue)}`)).body
  expect(second.items?.map(nameOf)).toEqual(['c', 'd'])
  expect(second.metadata?.resourceVersion).toBe(first.metadata?.resourceVersion)
  await call('PATCH', `${maps}/a`, { data: { x: 'y' } }, { 'content-type': 'application/merge-patch+json' })
  server.api.store.compact()
  expect((await call('GET', `${maps}?limit=2&continue=${String(second.metadata?.continue)}`)).status).toBe(410)
  expect((await call('GET', `${maps}?continue=nonsense`)).status).toBe(400)
})

test('a watch replays from a version, follows selectors, and ends with 410 as an event', async () => {
  const start = (await call('GET', maps)).body.metadata?.resourceVersion
  await call('POST', maps, map('w1', { on: 'y' }))
  await call(
    'PATCH',
    `${maps}/w1`,
    { metadata: { labels: { on: 'n' } } },
    { 'content-type': 'application/merge-patch+json' },
  )
  await call(
    'PATCH',
    `${maps}/w1`,
    { metadata: { labels: { on: 'y' } } },
    { 'content-type': 'application/merge-patch+json' },
  )
  await call('DELETE', `${maps}/w1`)
  const events = await watch(`${maps}?watch=1&resourceVersion=${String(start)}&labelSelector=on%3Dy`, 4)
  expect(events.map((event) => event.type)).toEqual(['ADDED', 'DELETED', 'ADDED', 'DELETED'])
  server.api.store.compact()
  const [gone] = await watch(`${maps}?watch=1&resourceVersion=${String(start)}`, 1)
  expect(gone).toMatchObject({ type: 'ERROR', object: { kind: 'Status', code: 410 } })
})

test('a watch with initial events marks their end', async () => {
  const events = await watch(
    `${maps}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&fieldSelector=metadata.name%3Da`,
    2,
  )
  expect(events.map((event) => event.type)).toEqual(['ADDED', 'BOOKMARK'])
  expect(events[1]).toMatchObject({ object: { metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } } })
})

test('a watch ends at its timeout', async () => {
  const version = (await call('GET', maps)).body.metadata?.resourceVersion
  expect(await watch(`${maps}?watch=1&timeoutSeconds=1&resourceVersion=${String(version)}`, 1)).toEqual([])
})

test('tables have the columns that kubectl prints', async () => {
  const accept = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' }
  const { body } = await call('GET', '/api/v1/namespaces/x/pods', undefined, accept)
  expect(body).toMatchObject({ kind: 'Table', apiVersion: 'meta.k8s.io/v1' })
  expect((body.columnDefinitions as JsonMap[]).slice(0, 4).map((column) => column.name)).toEqual([
    'Name',
    'Ready',
    'Status',
    'Restarts',
  ])
  expect((body.rows as { cells: unknown[] }[])[0]!.cells.slice(0, 4)).toEqual(['p', '0/1', 'Pending', '0'])
})

test.each<[string, number, string, string, unknown, Record<string, string>]>([
  ['no such kind', 404, 'GET', '/apis/example.com/v1/things', undefined, {}],
  ['no such object', 404, 'GET', `${maps}/none`, undefined, {}],
  ['a body that is not JSON', 400, 'POST', maps, 'text', {}],
  ['a namespaced kind without namespace', 400, 'POST', '/api/v1/configmaps', map('z'), {}],
  ['an unknown patch type', 415, 'PATCH', `${maps}/a`, {}, { 'content-type': 'application/json' }],
  ['a wrong token', 401, 'GET', maps, undefined, { authorization: 'Bearer nonsense' }],
  ['no credentials', 403, 'GET', maps, undefined, { 'x-secure': '1' }],
  ['exec without an upgrade', 400, 'POST', '/api/v1/namespaces/x/pods/p/exec?command=a', undefined, {}],
  ['a method that is none', 405, 'PUT', maps, {}, {}],
])('%s: %i', async (_name, status, method, path, body, headers) => {
  const answer = await call(method, path, body, headers)
  expect(answer.status).toBe(status)
  expect(answer.body).toMatchObject({ kind: 'Status', status: 'Failure', code: status })
})

test('the administrator by token; a service account by its own token and roles', async () => {
  const admin = { authorization: `Bearer ${adminToken}` }
  expect((await call('GET', maps, undefined, admin)).status).toBe(200)
  const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} }
  const { token } = (await call('POST', '/api/v1/namespaces/x/serviceaccounts/sa/token', request, admin)).body
    .status as { token: string }
  const account = { authorization: `Bearer ${token}` }
  const self = await call('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {}, account)
  expect(self.body.status).toMatchObject({ userInfo: { username: 'system:serviceaccount:x:sa' } })
  expect((await call('GET', maps, undefined, account)).status).toBe(403)
  expect((await call('GET', maps, undefined, { ...account, 'impersonate-user': 'kubernetes-admin' })).status).toBe(403)
  const review = await call(
    'POST',
    '/apis/authentication.k8s.io/v1/tokenreviews',
    { spec: { token, audiences: ['istio-ca'] } },
    admin,
  )
  expect(review.body.status).not.toHaveProperty('authenticated')
  expect(review.body.status?.error).toMatch(/istio-ca/)
})

test('warnings reach the client', async () => {
  const { headers } = await call('POST', '/api/v1/namespaces/x/configmaps', { ...map('odd'), dta: {} })
  expect(headers.warning).toBe('299 - "unknown field \\"dta\\""')
})

test('logs are text', async () => {
  expect((await call('GET', '/api/v1/namespaces/x/pods/p/log?tailLines=7')).body).toEqual({ text: 'tail 7\n' })
})

function open(path: string, protocols: string[]): WebSocket {
  return new WebSocket(`ws+unix://${adminSocket}:${path}`, protocols)
}

test('exec carries input, output, errors and the exit status', async () => {
  const socket = open('/api/v1/namespaces/x/pods/p/exec?command=repeat&command=3&stdin=true&stdout=true&stderr=true', [
    'v5.channel.k8s.io',
  ])
  const received: Record<number, string> = {}
  socket.on('message', (data: Buffer) => {
    received[data[0]!] = (received[data[0]!] ?? '') + data.subarray(1).toString()
  })
  socket.on('open', () => {
    socket.send(Buffer.from('\0hello'))
    socket.send(Buffer.from([255, 0]))
  })
  await new Promise((resolve) => socket.on('close', resolve))
  expect(received[1]).toBe('hello')
  expect(received[2]).toBe('complaint')
  expect(JSON.parse(received[3]!)).toMatchObject({
    status: 'Failure',
    details: { causes: [{ reason: 'ExitCode', message: '3' }] },
  })
})

test.each([
  ['a container that does not run', '/api/v1/namespaces/x/pods/p/exec?command=bad', ['v5.channel.k8s.io'], 400],
  ['a pod that is not there', '/api/v1/namespaces/x/pods/q/exec?command=a', ['v5.channel.k8s.io'], 404],
  ['an unknown protocol', '/api/v1/namespaces/x/pods/p/exec?command=a', ['v1.channel.k8s.io'], 400],
])('exec into %s is refused before the upgrade', async (_name, path, protocols, status) => {
  const socket = open(path, protocols)
  const code = await new Promise((resolve) => {
    socket.on('unexpected-response', (_request, response) => resolve(response.statusCode))
    socket.on('error', () => {})
  })
  expect(code).toBe(status)
})

test('exec by way of another API group is no way round the roles', async () => {
  const role = { metadata: { name: 'odd' }, rules: [{ apiGroups: ['odd.example'], resources: ['*'], verbs: ['*'] }] }
  await call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterroles', role)
  await call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    metadata: { name: 'odd' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'odd' },
    subjects: [{ kind: 'User', name: 'somebody' }],
  })
  const codes = ['/apis/odd.example/v1', '/api/v1'].map(
    (root) =>
      new Promise((resolve) => {
        const url = `ws+unix://${adminSocket}:${root}/namespaces/x/pods/p/exec?command=a`
        const socket = new WebSocket(url, ['v5.channel.k8s.io'], { headers: { 'impersonate-user': 'somebody' } })
        socket.on('unexpected-response', (_request, response) => resolve(response.statusCode))
        socket.on('open', () => resolve('open'))
        socket.on('error', () => {})
      }),
  )
  expect(await Promise.all(codes)).toEqual([404, 403])
})

test('an apply that would create needs the right to create', async () => {
  await call('POST', '/apis/rbac.authorization.k8s.io/v1/namespaces/x/roles', {
    metadata: { name: 'patcher' },
    rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['patch'] }],
  })
  await call('POST', '/apis/rbac.authorization.k8s.io/v1/namespaces/x/rolebindings', {
    metadata: { name: 'patcher' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'patcher' },
    subjects: [{ kind: 'User', name: 'patcher' }],
  })
  await call('POST', '/api/v1/namespaces/x/configmaps', map('there'))
  const apply = (name: string): Promise<Answer> =>
    call('PATCH', `/api/v1/namespaces/x/configmaps/${name}?fieldManager=p&force=true`, map(name), {
      'content-type': 'application/apply-patch+yaml',
      'impersonate-user': 'patcher',
    })
  expect((await apply('there')).status).toBe(200)
  expect((await apply('absent')).status).toBe(403)
})

test('port-forward begins both channels with the port and carries bytes', async () => {
  const socket = open('/api/v1/namespaces/x/pods/p/portforward?ports=9080', ['v4.channel.k8s.io'])
  const messages: Buffer[] = []
  socket.on('open', () => socket.send(Buffer.from('\0ping')))
  await new Promise<void>((resolve) =>
    socket.on('message', (data: Buffer) => {
      messages.push(data)
      if (messages.length === 3) resolve()
    }),
  )
  socket.close()
  expect(messages).toEqual([Buffer.from([0, 0x78, 0x23]), Buffer.from([1, 0x78, 0x23]), Buffer.from('\0ping')])
})
