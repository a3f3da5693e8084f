import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, expect, test } from 'vitest'
import { KubeClient } from './client.ts'
import { fixedConnection, socketConnection } from './connection.ts'
import { listWatch } from './listwatch.ts'

const open: Disposable[] = []
afterEach(() => {
  for (const one of open.splice(0)) one[Symbol.dispose]()
})

async function serve(answer: http.RequestListener, socketPath?: string): Promise<string> {
  const server = http.createServer(answer)
  await new Promise<void>((resolve) => server.listen(socketPath ?? { port: 0, host: '127.0.0.1' }, resolve))
  open.push({ [Symbol.dispose]: () => server.close() })
  return socketPath ?? `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function client(connection: ConstructorParameters<typeof KubeClient>[0]): KubeClient {
  const made = new KubeClient(connection)
  open.push({ [Symbol.dispose]: () => made.close() })
  return made
}

const echo: http.RequestListener = async (request, response) => {
  const { method, url, headers } = request
  response.end(JSON.stringify({ method, url, headers, body: await text(request) }))
}
interface Echo {
  readonly method: string
  readonly url: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

test('a request has its query, body, token and what is accepted', async () => {
  const api = client(fixedConnection(await serve(echo), 'secret'))
  const patch = {
    body: { a: 1 },
    patch: 'strategic',
    accept: 'text/plain',
    query: { force: 'true', no: undefined },
  } as const
  expect(await api.request<Echo>('PATCH', '/api/v1/pods', patch)).toMatchObject({
    method: 'PATCH',
    url: '/api/v1/pods?force=true',
    body: '{"a":1}',
    headers: {
      authorization: 'Bearer secret',
      accept: 'text/plain',
      'content-type': 'application/strategic-merge-patch+json',
    },
  })
})

test('a server may have a path, and a path a query', async () => {
  const api = client(fixedConnection(`${await serve(echo)}/clusters/one/`))
  expect(await api.get<Echo>('/api/v1/pods?a=b%2Fc')).toMatchObject({ url: '/clusters/one/api/v1/pods?a=b%2Fc' })
})

test('a server on a Unix socket', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wishbone-kube-'))
  open.push({ [Symbol.dispose]: () => rmSync(folder, { recursive: true }) })
  const api = client(socketConnection(await serve(echo, join(folder, 'api.sock'))))
  expect(await api.get<Echo>('/readyz')).toMatchObject({ url: '/readyz' })
})

test.each([
  ['{"reason":"NotFound","message":"pods \\"a\\" not found"}', 'NotFound', 'pods "a" not found', ' NotFound'],
  ['no such page', '', 'no such page', ''],
])('a refusal keeps the words of the server: %s', async (body, reason, detail, word) => {
  const url = await serve((_, response) => response.writeHead(404).end(body))
  const message = `GET /api/v1/pods: 404${word}: ${detail}`
  const api = client(fixedConnection(url))
  await expect(api.get('/api/v1/pods')).rejects.toMatchObject({ status: 404, reason, detail, message })
  await expect(api.open('GET', '/api/v1/pods')).rejects.toMatchObject({ status: 404, detail })
})

test('an answer can be read as it comes', async () => {
  const api = client(fixedConnection(await serve((_, response) => response.end('one\ntwo\n'))))
  expect(await text(await api.open('GET', '/log'))).toBe('one\ntwo\n')
})

test('a watch leaves nothing behind on a connection that is used again', async () => {
  const sockets = new Set<unknown>()
  const url = await serve((request, response) => {
    sockets.add(request.socket)
    response.end()
  })
  const connection = fixedConnection(url)
  const api = client(connection)
  const { agent } = await connection.prepare()
  const options = { query: {}, silenceMs: 10_000 }
  for (let i = 0; i < 3; i++) for await (const _ of api.watch('/api/v1/pods', options, new AbortController().signal));
  await new Promise((resolve) => setTimeout(resolve, 20))
  const [socket] = Object.values(agent.freeSockets).flatMap((free) => free ?? [])
  expect(sockets.size).toBe(1)
  const before = socket!.listenerCount('timeout')
  for await (const _ of api.watch('/api/v1/pods', options, new AbortController().signal));
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(socket!.listenerCount('timeout')).toBe(before)
})

test('a server that ends every watch at once is asked less and less often', async () => {
  let watches = 0
  const url = await serve((request, response) => {
    if (request.url?.includes('watch=true')) watches++
    response.end(request.url?.includes('watch=true') ? '' : '{"metadata":{"resourceVersion":"1"}}')
  })
  const kind = { apiVersion: 'v1', kind: 'Pod', plural: 'pods', namespaced: true }
  const nothing = () => undefined
  const signal = AbortSignal.timeout(1_000)
  await listWatch(
    client(fixedConnection(url)),
    kind,
    { replace: nothing, upsert: nothing, remove: nothing },
    {
      log: { warn: nothing },
      signal,
    },
  )
  expect(watches).toBeLessThan(9)
})
