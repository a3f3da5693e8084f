import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, expect, test, vi } from 'vitest'
import type { RequestContext } from '../pipeline/context.ts'
import type { RequestRecord } from '../pipeline/record.ts'
import { startTracing } from './tracing.ts'

let collector: http.Server
afterEach(() => {
  vi.unstubAllEnvs()
  collector.closeAllConnections()
  collector.close()
})

async function startTraced(onSpans: http.RequestListener) {
  collector = http.createServer(onSpans).listen(0, '127.0.0.1')
  await once(collector, 'listening')
  vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', `http://127.0.0.1:${(collector.address() as AddressInfo).port}`)
  const warnings: Record<string, unknown>[] = []
  const log = { warn: (message: string, fields?: object) => void warnings.push({ message, ...fields }) }
  const { trace, stop } = startTracing({ podName: 'p', podNamespace: 'n', gatewayName: 'g' }, log)
  const request = (headers: Record<string, string>, record: Partial<RequestRecord>) => {
    const head = {
      method: 'GET',
      host: 'shop',
      authority: headers['host'] ?? 'shop',
      path: '/',
      query: '',
      header: (name: string) => headers[name],
    }
    const connection = { scheme: 'http', port: 80, clientIp: '10.0.0.1', clientPort: 1 }
    const context = { head: { ...head, path: headers['path'] ?? '/' }, match: { kind: 'none' }, connection }
    const traced = trace(context as unknown as RequestContext)
    traced.end({ status: 200, tries: 1, context, ...record } as RequestRecord)
    return traced
  }
  return { request, stop, warnings }
}

interface Span {
  readonly traceId: string
  readonly attributes: readonly { readonly key: string; readonly value: Record<string, unknown> }[]
}

test('what clients and backends send makes spans that are bounded and that collectors can read', async () => {
  const spans: Span[] = []
  const { request, stop } = await startTraced(async (incoming, response) => {
    const body = JSON.parse(await text(incoming)) as { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] }
    spans.push(...body.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((one) => one.spans)))
    response.end('{}')
  })
  const long = 'x'.repeat(60_000)
  request({ path: `/${long}`, 'user-agent': long, host: `shop:${'9'.repeat(400)}` }, { grpcStatus: 'invalid' })
  await stop()
  const values = new Map(spans[0]!.attributes.map(({ key, value }) => [key, value]))
  expect(String(values.get('url.path')?.['stringValue'])).toBe(`/${'x'.repeat(2_047)}…`)
  expect(JSON.stringify(spans).length).toBeLessThan(10_000)
  expect([...values.values()].flatMap((value) => Object.values(value))).not.toContain(null)
  expect(values.get('server.port')).toEqual({ intValue: 80 })
})

test('spans that wait for a collector hold on to no more of a request than what they say', async () => {
  setFlagsFromString('--expose_gc')
  const collect = runInNewContext('gc') as () => void
  const { request, stop } = await startTraced(() => {})
  // As a request's head has them: parts of what the client has sent.
  const ask = (i: number) => {
    const target = Buffer.from(`/a/path/that/is/long/${i}?${'x'.repeat(60_000)}`).toString('latin1')
    request({ path: target.slice(0, target.indexOf('?')) }, {})
  }
  collect()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < 400; i++) ask(i)
  collect()
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(10 << 20)
  await expect(stop()).rejects.toThrow(/answered/)
}, 30_000)

test('a traceparent that is none begins a new trace', async () => {
  const { request, stop } = await startTraced((_, response) => void response.end('{}'))
  const id = '0af7651916cd43dd8448eb211c80319c'
  const known = `${id}-b7ad6b7169203331-01`
  const traceOf = (traceparent: string) => request({ traceparent }, {}).traceId
  expect(traceOf(`00-${known}`)).toBe(id)
  expect(traceOf(`cc-${known}-what-the-future-brings`)).toBe(id)
  for (const wrong of [`00-${known}-more`, `00-${known}1`, `cc-${known}.`, `ff-${known}`])
    expect(traceOf(wrong)).not.toBe(id)
  await stop()
})

test('a collector that never answers does not keep a proxy from ending', async () => {
  const { request, stop } = await startTraced(() => {})
  request({}, {})
  const began = performance.now()
  await expect(stop()).rejects.toThrow(/answered/)
  expect(performance.now() - began).toBeLessThan(10_000)
}, 30_000)

test('spans that the collector does not take are told', async () => {
  const { request, stop, warnings } = await startTraced((_, response) => void response.writeHead(400).end())
  request({}, {})
  request({}, {})
  await expect(stop()).rejects.toThrow()
  expect(warnings).toEqual([
    { message: expect.stringContaining('spans are lost'), spans: 2, error: expect.stringMatching(/./) },
  ])
})
