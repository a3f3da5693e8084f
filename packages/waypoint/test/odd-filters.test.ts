// Values of header filters, rewrites and redirects that a message of HTTP cannot have, or that would mean another one.
import type { MessageInitShape } from '@bufbuild/protobuf'
import { l7 } from '@wishbone/proto'
import { afterEach, expect, test } from 'vitest'
import { startWorld, to, type World } from './harness.ts'
import { ask, type Backend, echo, http2Backend, raw } from './servers.ts'

type Filter = MessageInitShape<typeof l7.FilterSchema>

let world: World | undefined
const open: Backend[] = []

afterEach(async () => {
  await world?.waypoint.close()
  for (const one of open.splice(0)) one.close()
})

const headers = (kind: 'requestHeaders' | 'responseHeaders', name: string, value: string, how = 'set'): Filter =>
  ({ kind: { case: kind, value: { [how]: [{ name, value }] } } }) as Filter
const rewrite = (path: MessageInitShape<typeof l7.PathRewriteSchema>): Filter => ({
  kind: { case: 'rewrite', value: { path } },
})

async function portWith(filters: Filter[]): Promise<number> {
  const app = await echo('app')
  open.push(app)
  world = await startWorld({ app: [app.port] }, [{ filters, backends: [to('app')] }])
  return world.port
}

/** Another HTTP/2 server. */
async function http2PortWith(filters: Filter[]): Promise<number> {
  const app = await http2Backend((stream, fields) => {
    stream.respond({ ':status': 200 })
    stream.end(JSON.stringify({ url: fields[':path'], headers: fields }))
  })
  open.push(app)
  world = await startWorld({ app: [app.port] }, [{ filters, backends: [to('app', 1, l7.Protocol.HTTP2)] }])
  return world.port
}

const versions = [
  ['HTTP/1', portWith],
  ['HTTP/2', http2PortWith],
] as const

test.each([
  'Connection',
  'Keep-Alive',
  'Proxy-Connection',
  'Upgrade',
  'TE',
  'Trailer',
  'Expect',
  ':authority',
  ':path',
  'a b',
])('a header named %s is the connection’s or none: filters pass it over', async (name) => {
  for (const [, start] of versions) {
    const filters = ['set', 'add'].flatMap((how) => [
      headers('requestHeaders', name, 'x', how),
      headers('responseHeaders', name, 'x', how),
    ])
    const answer = await ask(await start([...filters, headers('requestHeaders', 'x-other', '1')]))
    expect(answer).toMatchObject({ status: 200 })
    expect(JSON.parse(answer.body).headers).toMatchObject({ 'x-other': '1' })
    expect(Object.values(answer.headers)).not.toContain('x')
    await world?.waypoint.close()
  }
})

test.each(versions)(
  '%s: Host that filters set is the authority, and one that they add is none',
  async (_name, start) => {
    const filters = [
      headers('requestHeaders', 'Host', 'other.example'),
      headers('requestHeaders', 'hOST', 'evil', 'add'),
    ]
    const answer = await ask(await start(filters), { headers: { host: 'h' } })
    expect(answer.status).toBe(200)
    const seen = JSON.parse(answer.body).headers
    expect(seen[':authority'] ?? seen.host).toBe('other.example')
    expect(seen.host ?? 'other.example').toBe('other.example')
  },
)

test.each(['a\r\nx-evil: 1', 'a\0', 'a\n'])('a value that no field has, %j, answers for the route', async (value) => {
  for (const kind of ['requestHeaders', 'responseHeaders'] as const) {
    const port = await portWith([headers(kind, 'x-a', value)])
    expect(await ask(port)).toMatchObject({ status: 500 })
    const upgrade = 'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
    expect(await raw(port, upgrade)).toMatch(/^HTTP\/1.1 500 /)
    await expect.poll(() => world?.accessLog.at(-1)?.['detail']).toContain('x-a')
    await world?.waypoint.close()
  }
})

test.each(versions)('%s: other values go as UTF-8', async (_name, start) => {
  const answer = await ask(
    await start([headers('requestHeaders', 'x-a', 'č✓'), headers('responseHeaders', 'x-b', 'č✓')]),
  )
  expect(answer.status).toBe(200)
  expect(Buffer.from(JSON.parse(answer.body).headers['x-a'], 'latin1').toString()).toBe('č✓')
  expect(Buffer.from(String(answer.headers['x-b']), 'latin1').toString()).toBe('č✓')
})

test.each([
  ['/a b', '/a%20b'],
  ['/č\r\nx: 1', '/%C4%8D%0D%0Ax:%201'],
  ['/%zz', '/%zz'],
  ['/\ud800', '/%EF%BF%BD'],
  ['', '/'],
  ['a', '/a'],
  ['//a', '//a'],
])('a path %j is sent as %s', async (value, expected) => {
  for (const [, start] of versions) {
    const answer = await ask(await start([rewrite({ kind: { case: 'full', value } })]), { path: '/x?q' })
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.body).url).toBe(`${expected}?q`)
    await world?.waypoint.close()
  }
  const port = await portWith([{ kind: { case: 'redirect', value: { path: { kind: { case: 'full', value } } } } }])
  const answer = await ask(port, { headers: { host: 'h:8080' } })
  expect(answer).toMatchObject({ status: 302, headers: { location: `http://h:8080${expected}` } })
})
