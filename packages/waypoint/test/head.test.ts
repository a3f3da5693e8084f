// What policies and routes read of a request is what its backend gets.
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import net, { type AddressInfo, type Server } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { Head, type IncomingRequest } from '../src/pipeline/head.ts'
import { connectHttp2, type Field, get, headers } from './http2-client.ts'

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

async function portOf(server: Server): Promise<number> {
  servers.push(server)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return (server.address() as AddressInfo).port
}

async function overHttp1(fields: readonly Field[]): Promise<Head> {
  const { promise, resolve } = Promise.withResolvers<Head>()
  const port = await portOf(
    http.createServer((request, response) => {
      resolve(new Head(request))
      response.end()
    }),
  )
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const socket = net.connect(port, '127.0.0.1')
  socket.write(`GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n${lines}\r\n`)
  const head = await promise
  socket.destroy()
  return head
}

async function overHttp2(fields: readonly Field[]): Promise<Head> {
  const { promise, resolve } = Promise.withResolvers<Head>()
  const server = http2.createServer((request, response) => {
    resolve(new Head(request as IncomingRequest))
    response.end()
  })
  const client = connectHttp2(await portOf(server as unknown as Server))
  client.send(headers(1, [...get, ...fields]))
  const head = await promise
  client.socket.destroy()
  return head
}

test.each([
  ['HTTP/1', overHttp1],
  ['HTTP/2', overHttp2],
])('%s: a field that is sent twice has both values, also where node keeps only the first', async (_, read) => {
  const head = await read([
    ['user-agent', 'browser'],
    ['authorization', 'one'],
    ['x-token', 'one'],
    ['user-agent', 'robot'],
    ['referer', 'once'],
    ['x-token', 'two'],
    ['authorization', 'two'],
    ['cookie', 'a=1'],
    ['cookie', 'b=2'],
  ])
  expect(head.header('user-agent')).toBe('browser, robot')
  expect(head.header('authorization')).toBe('one, two')
  expect(head.header('x-token')).toBe('one, two')
  expect(head.header('cookie')).toBe('a=1; b=2')
  expect(head.header('referer')).toBe('once')
  expect(head.header('origin')).toBeUndefined()
})

test('Host is a header over HTTP/2 too, which says it in :authority', async () => {
  expect((await overHttp1([])).header('host')).toBe('web')
  expect((await overHttp2([])).header('host')).toBe('h')
})

test('many names are asked for at the price of reading the fields once, however often one is sent', () => {
  const fields = [...Array.from({ length: 500 }, (_, i) => [`x-${i}`, 'v']), ['user-agent', 'a'], ['user-agent', 'b']]
  let reads = 0
  const rawHeaders = new Proxy(fields.flat(), {
    get(target, key) {
      reads++
      return Reflect.get(target, key)
    },
  })
  const request = { method: 'GET', url: '/', headers: { ...Object.fromEntries(fields), 'user-agent': 'a' }, rawHeaders }
  const head = new Head(request as unknown as IncomingRequest)
  for (let i = 0; i < 100; i++) expect(head.header('x-1')).toBe('v')
  expect(head.header('user-agent')).toBe('a, b')
  expect(reads).toBeLessThan(10 * rawHeaders.length)
})
