// What stands in front of a gateway: trusted proxies, and load balancers that speak the PROXY protocol.
import { afterEach, expect, test } from 'vitest'
import { startWorld, to, type World } from './harness.ts'
import { type Backend, echo, raw } from './servers.ts'

let world: World | undefined
let app: Backend | undefined

afterEach(async () => {
  await world?.waypoint.close()
  app?.close()
})

async function portWith(trustedHops: number, proxyProtocol: boolean): Promise<number> {
  app = await echo('app')
  const front = { trustedHops, proxyProtocol: () => proxyProtocol }
  world = await startWorld({ app: [app.port] }, [{ backends: [to('app')] }], { front })
  return world.port
}

const request = (headers: string) => `GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n${headers}\r\n`
const seenBy = (answer: string) => JSON.parse(answer.slice(answer.indexOf('{'), answer.lastIndexOf('}') + 1)).headers

test('without trusted proxies X-Forwarded-Proto is ours, and the lists get one more element', async () => {
  const port = await portWith(0, false)
  const headers =
    'X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nForwarded: for=1.1.1.1\r\nX-Forwarded-Client-Cert: By=me\r\n'
  const seen = seenBy(await raw(port, request(headers)))
  expect(seen).not.toHaveProperty('x-forwarded-client-cert')
  expect(seen).toMatchObject({
    'x-forwarded-for': expect.stringMatching(/^1\.1\.1\.1, ?127\.0\.0\.1$/),
    'x-forwarded-proto': 'http',
    forwarded: expect.stringMatching(/^for=1\.1\.1\.1, ?for=127\.0\.0\.1;proto=http$/),
  })
  expect(world?.accessLog[0]).not.toHaveProperty('client.addr')
})

test('a trusted proxy names client and protocol', async () => {
  const port = await portWith(1, false)
  const headers = 'X-Forwarded-For: 6.6.6.6, 1.1.1.1\r\nX-Forwarded-Proto: https\r\n'
  expect(seenBy(await raw(port, request(headers)))).toMatchObject({ 'x-forwarded-proto': 'https' })
  await expect.poll(() => world?.accessLog[0]).toMatchObject({ 'client.addr': '1.1.1.1' })
})

test('the PROXY protocol names the client; who does not speak it is refused', async () => {
  const port = await portWith(0, true)
  expect(seenBy(await raw(port, `PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n${request('')}`))).toMatchObject({
    'x-forwarded-for': '192.0.2.7',
  })
  await expect.poll(() => world?.accessLog[0]).toMatchObject({ 'src.addr': '192.0.2.7:4711' })
  expect(await raw(port, request(''), 500).catch(() => '')).toBe('')
  expect(world?.log.join('')).toContain('it does not begin with a PROXY protocol header')
})
