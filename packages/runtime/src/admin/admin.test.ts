import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { createLogger } from '../log/index.ts'
import { createMetrics } from '../metrics/index.ts'
import { logLevelRoute, startAdmin, startStatusServers } from './index.ts'

const cleanups: AsyncDisposable[] = []
afterEach(async () => {
  for (const server of cleanups.splice(0)) await server[Symbol.asyncDispose]()
})

async function get(port: number, path: string, options: http.RequestOptions = {}) {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>()
  const request = http.request({ host: '127.0.0.1', port, path, ...options }, (response) => {
    let body = ''
    response.on('data', (chunk) => (body += String(chunk)))
    response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
  })
  request.on('error', reject)
  request.end()
  return promise
}

test('metrics and readiness, which names what it waits for', async () => {
  const metrics = createMetrics({ process: false })
  metrics.counter('istio_requests_total', 'Requests.', ['reporter']).labels({ reporter: 'source' }).inc(2)
  let pending = ['xds', 'certificate']
  const status = await startStatusServers({ metrics, ready: () => pending, ports: { metrics: 0, ready: 0 } })
  cleanups.push(status)
  for (const path of ['/metrics', '/stats/prometheus']) {
    expect((await get(status.metricsPort, path)).body).toContain('istio_requests_total{reporter="source"} 2')
  }
  const waiting = await get(status.readyPort, '/healthz/ready')
  expect(waiting).toEqual({ status: 503, body: 'not ready, waiting for: xds, certificate\n' })
  pending = []
  expect((await get(status.readyPort, '/healthz/ready')).status).toBe(200)
})

test('who holds connections open keeps nobody from readiness', async () => {
  const metrics = createMetrics({ process: false })
  const status = await startStatusServers({ metrics, ready: () => [], ports: { metrics: 0, ready: 0 } })
  cleanups.push(status)
  const held = Array.from({ length: 256 }, () => net.connect(status.readyPort, '127.0.0.1').on('error', () => {}))
  await Promise.all(held.map((socket) => once(socket, 'connect')))
  expect((await get(status.readyPort, '/healthz/ready')).status).toBe(200)
  for (const socket of held) socket.destroy()
})

test('of the metrics no more is made than their reader takes, and nothing more when it goes', async () => {
  let made = 0
  let ended = false
  async function* pieces() {
    try {
      for (;;) {
        made += 1 << 16
        yield 'm'.repeat(1 << 16)
        await new Promise((resolve) => setImmediate(resolve))
      }
    } finally {
      ended = true
    }
  }
  const metrics = { ...createMetrics({ process: false }), pieces, text: async () => 'm'.repeat(1 << 28) }
  const status = await startStatusServers({ metrics, ready: () => [], ports: { metrics: 0, ready: 0 } })
  cleanups.push(status)
  const reader = net.connect(status.metricsPort, '127.0.0.1').pause()
  reader.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n')
  let before = -1
  await expect.poll(() => made > 0 && before === (before = made), { interval: 200, timeout: 10_000 }).toBe(true)
  expect(made).toBeLessThan(64 << 20)
  expect(ended).toBe(false)
  reader.destroy()
  await expect.poll(() => ended, { timeout: 10_000 }).toBe(true)
}, 30_000)

test('a port that is taken is named', async () => {
  const metrics = createMetrics({ process: false })
  const first = await startAdmin({ port: 0, routes: {} })
  cleanups.push(first)
  const options = { metrics, ready: () => [], host: '127.0.0.1', ports: { metrics: first.port, ready: 0 } }
  await expect(startStatusServers(options)).rejects.toThrow(
    `the metrics server cannot listen on 127.0.0.1:${first.port}`,
  )
})

test('admin routes answer text, JSON and errors; strangers are refused', async () => {
  const log = createLogger({ program: 'p', sink: { write: () => {}, flush: () => {}, dropped: 0 } })
  const admin = await startAdmin({
    port: 0,
    routes: {
      'GET /config_dump': () => ({ json: { workloads: [] } }),
      'POST /logging': logLevelRoute(log),
      'GET /explain/*': ({ path, query }) => `${path} ${query.get('q')}`,
      'GET /broken': () => {
        throw new Error('it broke')
      },
    },
  })
  cleanups.push(admin)
  const ask = (path: string, options?: http.RequestOptions) => get(admin.port, path, options)
  expect(JSON.parse((await ask('/config_dump')).body)).toEqual({ workloads: [] })
  expect((await ask('/logging?level=debug', { method: 'POST' })).body).toBe('current log level is debug\n')
  expect(log.level()).toBe('debug')
  // As istioctl writes them.
  for (const [level, meant] of [
    ['access:debug,info', 'info'],
    ['ztunnel::access:trace', 'debug'],
    ['warn', 'warn'],
    ['off', 'error'],
    ['info&reset', 'info'],
  ])
    expect((await ask(`/logging?level=${level}`, { method: 'POST' })).body).toBe(`current log level is ${meant}\n`)
  for (const unknown of ['loud', 'constructor'])
    expect((await ask(`/logging?level=${unknown}`, { method: 'POST' })).status).toBe(400)
  expect((await ask('/explain/a/b?q=1')).body).toBe('/explain/a/b 1')
  expect(await ask('/broken')).toEqual({ status: 500, body: 'it broke\n' })
  expect((await ask('/')).body).toContain('GET /config_dump')
  expect((await ask('/nothing')).status).toBe(404)
  expect((await ask('/config_dump', { headers: { host: 'evil.example' } })).status).toBe(403)
  expect((await ask('/config_dump', { headers: { origin: 'http://evil.example' } })).status).toBe(403)
})

test('metrics with equal labels are one series, gauges can be refilled at each scrape', async () => {
  const metrics = createMetrics({ process: false })
  const counter = metrics.counter('c_total', 'C.', ['a', 'b'])
  expect(counter.labels({ a: '1', b: '2' })).toBe(counter.labels({ b: '2', a: '1' }))
  expect(metrics.counter('c_total', 'C.', ['a', 'b'])).toBe(counter)
  let n = 1
  metrics.gauge('g', 'G.', ['x'], (gauge) => {
    gauge.reset()
    gauge.labels({ x: `n${n}` }).set(n++)
  })
  await metrics.text()
  expect(await metrics.text()).toMatch(/g\{x="n2"\} 2\n/)
  expect(await metrics.text()).not.toMatch(/n2/)
})
