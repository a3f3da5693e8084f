import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { fixedConnection, KubeClient } from '@wishbone/runtime/kube'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventually, recorder } from '../../test/wait.ts'
import { runElection } from './lease.ts'

interface Lease {
  metadata: { resourceVersion: string }
  spec: { holderIdentity: string }
}

const durationMs = 400
let lease: Lease | undefined
let silent: boolean
let happened: string[]
let server: http.Server
let client: KubeClient
let stop: AbortController
let running: Promise<void>

beforeEach(async () => {
  lease = undefined
  silent = false
  happened = []
  stop = new AbortController()
  server = http.createServer(async (request, response) => {
    if (silent) return
    if (request.method !== 'GET') {
      const { spec } = (await json(request)) as Lease
      lease = { metadata: { resourceVersion: String(performance.now()) }, spec }
      happened.push(`held by ${spec.holderIdentity || 'nobody'}`)
    }
    response.writeHead(lease === undefined ? 404 : 200).end(JSON.stringify(lease ?? {}))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  client = new KubeClient(fixedConnection(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
  running = runElection(client, {
    namespace: 'mesh',
    name: 'lease',
    identity: 'one',
    durationMs,
    renewMs: 100,
    log: recorder(),
    signal: stop.signal,
    onChange: (leading) => void happened.push(leading ? 'leads' : 'follows'),
  })
})

afterEach(async () => {
  stop.abort()
  server.closeAllConnections()
  await running
  client.close()
  server.close()
})

test('who gets no answer about its lease steps down before another may take it', async () => {
  await eventually('the lead', () => happened.includes('leads'))
  silent = true
  await new Promise((resolve) => setTimeout(resolve, durationMs))
  expect(happened.at(-1)).toBe('follows')
  silent = false
  await eventually('the lead', () => happened.at(-1) === 'leads')
})

test('the lease is given up by who leads no more', async () => {
  await eventually('the lead', () => happened.includes('leads'))
  stop.abort()
  await running
  expect(happened.slice(-2)).toEqual(['follows', 'held by nobody'])
})
