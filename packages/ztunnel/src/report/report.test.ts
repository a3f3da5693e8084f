import { MeshError } from '@wishbone/core/errors'
import type { Copy, CopyResult } from '@wishbone/runtime/copy'
import { createLogger } from '@wishbone/runtime/log'
import { createMetrics } from '@wishbone/runtime/metrics'
import { expect, test } from 'vitest'
import { serviceOf, workloadOf } from '../decide/testing.ts'
import type { ConnectionEnds } from './ends.ts'
import { labelsOf } from './labels.ts'
import { Reporter } from './reporter.ts'

const client = workloadOf('client', '10.0.0.1', { locality: { region: 'r', zone: 'z' } })
const ends: ConnectionEnds = {
  direction: 'outbound',
  source: { address: '10.0.0.1:5', workload: client, identity: 'spiffe://cluster.local/ns/shop/sa/client' },
  destination: {
    address: '10.0.0.2:15008',
    hboneAddress: '10.0.0.2:80',
    workload: workloadOf('server', '10.0.0.2'),
    service: serviceOf('web', '10.96.0.1'),
    identity: 'spiffe://cluster.local/ns/shop/sa/server',
  },
  originalDestination: '10.96.0.1:80',
}

function setUp() {
  const lines: string[] = []
  const sink = { write: (line: string) => void lines.push(line.trim()), flush: () => undefined, dropped: 0 }
  let nowMs = 0
  const metrics = createMetrics({ process: false })
  const reporter = new Reporter({
    log: createLogger({ program: 'z', sink, clock: () => 0 }),
    metrics,
    now: () => nowMs,
  })
  const copy = {
    sent: 0,
    received: 0,
    ...Promise.withResolvers<CopyResult>(),
    closed: undefined as MeshError | undefined,
  }
  const asCopy: Copy = {
    get sent() {
      return copy.sent
    },
    get received() {
      return copy.received
    },
    done: copy.promise,
    close(reason) {
      copy.closed = reason
      copy.resolve({ sent: copy.sent, received: copy.received, error: reason })
    },
  }
  const advance = (ms: number) => {
    nowMs += ms
  }
  return { lines, metrics, reporter, copy, asCopy, advance }
}

test('labels: what is known, and unknown for the rest', () => {
  expect(labelsOf(ends)).toMatchObject({
    reporter: 'source',
    source_workload: 'client',
    source_principal: 'spiffe://cluster.local/ns/shop/sa/client',
    source_region: 'r',
    destination_region: 'unknown',
    destination_service: 'web.shop.svc.cluster.local',
    destination_service_name: 'web',
    connection_security_policy: 'mutual_tls',
    destination_cluster: 'Kubernetes',
  })
  const bare = labelsOf({
    direction: 'inbound',
    source: { address: 'a' },
    destination: { address: 'b' },
    originalDestination: 'b',
  })
  expect(bare).toMatchObject({
    reporter: 'destination',
    source_workload: 'unknown',
    source_cluster: 'unknown',
    connection_security_policy: 'unknown',
  })
})

test('one line in the order of the specification, counters of both directions, live bytes at a scrape', async () => {
  const { lines, metrics, reporter, copy, asCopy, advance } = setUp()
  const connection = reporter.open(ends)
  const following = connection.follow(asCopy, 'sent')
  copy.sent = 10
  copy.received = 20
  const live = await metrics.text()
  expect(live).toMatch(/istio_tcp_received_bytes_total\{.*\} 10/)
  expect(live).toMatch(/istio_tcp_sent_bytes_total\{.*\} 20/)
  expect(live).toMatch(/istio_tcp_sockets_open\{reporter="source"\} 1/)
  copy.sent = 15
  advance(12.4)
  copy.resolve({ sent: 15, received: 20 })
  await following
  const text = await metrics.text()
  expect(text).toMatch(/istio_tcp_received_bytes_total\{.*\} 15/)
  expect(text).toMatch(/istio_tcp_connections_closed_total\{.*response_flags="-".*\} 1/)
  expect(text).toMatch(/istio_tcp_sockets_open\{reporter="source"\} 0/)
  expect(lines).toHaveLength(1)
  const keys = [...lines[0]!.matchAll(/([\w.]+)=/g)].map((match) => match[1])
  expect(keys).toEqual([
    'src.addr',
    'src.workload',
    'src.namespace',
    'src.identity',
    'dst.addr',
    'dst.hbone_addr',
    'dst.service',
    'dst.workload',
    'dst.namespace',
    'dst.identity',
    'direction',
    'bytes_sent',
    'bytes_recv',
    'duration',
  ])
  expect(lines[0]).toMatch(/info\taccess\tconnection complete\t/)
  expect(lines[0]).toMatch(/bytes_sent=15 bytes_recv=20 duration="?12ms"?/)
})

test('a late refusal closes the copy and gives the line and the flag its reason', async () => {
  const { lines, metrics, reporter, asCopy } = setUp()
  const connection = reporter.open(ends)
  const following = connection.follow(asCopy, 'sent')
  connection.close(new MeshError('denied', 'policy change: no'))
  connection.close(new MeshError('draining', 'second'))
  await following
  await connection.ended
  expect(lines[0]).toMatch(/error.*policy change/)
  expect(await metrics.text()).toMatch(/istio_tcp_connections_failed_total\{.*response_flags="DENY".*\} 1/)
})
