// The controller's metrics (15014).
import { createMetrics, type Metrics } from '@wishbone/runtime/metrics'
import type { Store, StoreObserver } from './kube/index.ts'
import type { WriteResult } from './status/index.ts'
import type { Clients } from './xds/index.ts'

export interface ControllerMetrics {
  readonly metrics: Metrics
  readonly store: StoreObserver
  readonly clients: { pushed(typeUrl: string, resources: number, bytes: number): void; rejected(typeUrl: string): void }
  translated(outcome: 'ok' | 'failed', milliseconds: number): void
  written(what: 'infrastructure' | 'status' | 'event', result: WriteResult): void
  certificate(outcome: string): void
  leading(leading: boolean): void
}

export function createControllerMetrics(
  clients: () => Clients | undefined,
  store: () => Pick<Store, 'states'> | undefined,
): ControllerMetrics {
  const metrics = createMetrics()
  const objects = metrics.gauge('wishbone_store_objects', 'Objects known per kind.', ['kind'])
  const events = metrics.counter('wishbone_store_changes_total', 'Changes seen per kind.', ['kind'])
  const watching = metrics.gauge(
    'wishbone_store_watching',
    '1 while the kind is watched, 0 while it is absent or failing.',
    ['kind'],
  )
  metrics.gauge(
    'wishbone_store_silence_seconds',
    'Time since the API server last said something about the kind; bookmarks make it about a minute at most.',
    ['kind'],
    (gauge) => {
      for (const [kind, { state, silentMs }] of store()?.states() ?? [])
        gauge.labels({ kind }).set(state?.kind === 'absent' ? 0 : silentMs / 1000)
    },
  )
  const delays = metrics.histogram(
    'wishbone_store_event_delay_seconds',
    'Time between a write, as the object notes it in whole seconds, and its event.',
    ['kind'],
    { buckets: [1, 2, 5, 10, 30, 60, 300] },
  )
  const errors = metrics.counter('wishbone_store_errors_total', 'Failed lists and watches per kind.', ['kind'])
  const translations = metrics.counter('wishbone_translations_total', 'Translations of the cluster.', ['outcome'])
  const seconds = metrics.histogram(
    'wishbone_translation_seconds',
    'Time of one translation with encoding and sending.',
    [],
    {
      buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5],
    },
  )
  const pushes = metrics.counter('wishbone_xds_responses_total', 'Responses sent on configuration streams.', ['type'])
  const pushed = metrics.counter('wishbone_xds_resources_total', 'Resources sent on configuration streams.', ['type'])
  const bytes = metrics.counter('wishbone_xds_sent_bytes_total', 'Bytes sent on configuration streams.', ['type'])
  const rejects = metrics.counter('wishbone_xds_rejects_total', 'Responses that a client rejected, at least in part.', [
    'type',
  ])
  const writes = metrics.counter('wishbone_writes_total', 'Objects written to the Kubernetes API.', ['what', 'outcome'])
  const certificates = metrics.counter('wishbone_ca_requests_total', 'Certificate requests by outcome.', ['outcome'])
  const leader = metrics.gauge('wishbone_leader', '1 while this replica leads.')
  metrics.gauge('wishbone_xds_clients', 'Connected clients of the configuration stream.', ['kind'], (gauge) => {
    for (const kind of ['ztunnel', 'gateway'] as const) gauge.labels({ kind }).set(clients()?.count(kind) ?? 0)
  })
  return {
    metrics,
    store: {
      changed(kind, count) {
        objects.labels({ kind }).set(count)
        events.labels({ kind }).inc()
      },
      state(kind, state) {
        watching.labels({ kind }).set(state.kind === 'watching' ? 1 : 0)
        if (state.kind === 'failing') errors.labels({ kind }).inc()
      },
      delayed: (kind, waited) => delays.labels({ kind }).observe(waited),
    },
    clients: {
      pushed(typeUrl, resources, size) {
        const type = shortType(typeUrl)
        pushes.labels({ type }).inc()
        pushed.labels({ type }).inc(resources)
        bytes.labels({ type }).inc(size)
      },
      rejected: (typeUrl) => rejects.labels({ type: shortType(typeUrl) }).inc(),
    },
    translated(outcome, milliseconds) {
      translations.labels({ outcome }).inc()
      seconds.observe(milliseconds / 1000)
    },
    written(what, result) {
      writes.labels({ what, outcome: 'written' }).inc(result.written)
      writes.labels({ what, outcome: 'failed' }).inc(result.failed)
    },
    certificate: (outcome) => certificates.labels({ outcome }).inc(),
    leading: (leading) => leader.set(leading ? 1 : 0),
  }
}

/** A client may ask for any type it likes; only ours become label values. */
function shortType(typeUrl: string): string {
  return /^type\.googleapis\.com\/((istio|wishbone)\.[\w.]{1,60})$/.exec(typeUrl)?.[1] ?? 'other'
}
