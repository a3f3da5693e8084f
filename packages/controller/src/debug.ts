// What the controller shows of itself over plain HTTP (8080): readiness, and dumps for operators. Private keys are not in
// the dumps: what is shown of a certificate is its name and its chain.
import http from 'node:http'
import { createRegistry, fromBinary, toJson } from '@bufbuild/protobuf'
import { AnySchema } from '@bufbuild/protobuf/wkt'
import { isLoopback, parseIp } from '@wishbone/core/ip'
import { l7, security, typeUrls, workload } from '@wishbone/proto'
import type { Leader } from './leader.ts'
import type { Resource, Resources } from './model/index.ts'
import type { Pipeline } from './pipeline.ts'
import type { Clients } from './xds/index.ts'

export interface DebugOptions {
  readonly port: number
  readonly host?: string
  readonly pending: () => readonly string[]
  readonly clients: Clients
  readonly pipeline: Pipeline
  readonly leader: Leader
}

const schemas = {
  [typeUrls.address]: workload.AddressSchema,
  [typeUrls.authorization]: security.AuthorizationSchema,
  [typeUrls.listener]: l7.ListenerSchema,
  [typeUrls.route]: l7.RouteSchema,
  [typeUrls.tcpRoute]: l7.TcpRouteSchema,
  [typeUrls.certificate]: l7.CertificateSchema,
  [typeUrls.udpRoute]: l7.UdpRouteSchema,
  [typeUrls.requestPolicy]: l7.RequestPolicySchema,
} as const
const registry = createRegistry(...Object.values(schemas), AnySchema)

/** The whole mesh's configuration, to which no token was shown here: for operators, who may run commands in this pod. */
const dumps = new Set(['/debug/clients', '/debug/config', '/debug/statuses'])
const noAddress = new Uint8Array(4)

type Answer = { readonly status: number; readonly text: string } | { readonly json: unknown }

/** Starts the server; rejects if the port cannot be had. */
export async function startDebugServer(options: DebugOptions): Promise<AsyncDisposable & { readonly port: number }> {
  const routes: Readonly<Record<string, (query: URLSearchParams) => Answer>> = {
    '/ready': () => {
      const pending = options.pending()
      if (pending.length === 0) return { status: 200, text: 'ready\n' }
      return { status: 503, text: `not ready, waiting for: ${pending.join(', ')}\n` }
    },
    '/debug/clients': () => ({ json: options.clients.reports() }),
    '/debug/config': (query) => ({ json: configDump(options.clients, query.get('gateway')) }),
    '/debug/statuses': () => ({ json: statusDump(options) }),
    '/debug/acknowledged': (query) => ({ json: acknowledged(options, query) }),
  }
  const server = http.createServer({ headersTimeout: 10_000, requestTimeout: 30_000 }, (request, response) => {
    let answer: Answer
    try {
      const url = new URL(request.url ?? '/', 'http://debug')
      const route = request.method === 'GET' ? routes[url.pathname] : undefined
      if (dumps.has(url.pathname) && !isLoopback(parseIp(request.socket.remoteAddress ?? '') ?? noAddress))
        answer = { status: 403, text: 'only from this pod itself; use kubectl port-forward or exec\n' }
      else
        answer = route?.(url.searchParams) ?? { status: 404, text: `there are:\n${Object.keys(routes).join('\n')}\n` }
    } catch (cause) {
      const malformed = (cause as { readonly code?: string }).code === 'ERR_INVALID_URL'
      answer = { status: malformed ? 400 : 500, text: `${String(cause)}\n` }
    }
    const [status, type, body] =
      'json' in answer
        ? [200, 'application/json', `${JSON.stringify(answer.json, undefined, 2)}\n`]
        : [answer.status, 'text/plain; charset=utf-8', answer.text]
    response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
    response.end(body)
  })
  server.maxConnections = 64
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port: options.port, ...(options.host === undefined ? {} : { host: options.host }) }, resolve)
  })
  server.on('error', () => {})
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** All resources as JSON; those of one gateway if it is named. */
function configDump(clients: Clients, gateway: string | null): unknown {
  const set = clients.resources
  if (set === undefined) return { error: 'nothing was translated yet' }
  const scopes = [...set.scopes].map(([key, { serviceAccount, names }]) => ({
    gateway: key,
    serviceAccount,
    names: Object.fromEntries([...names].map(([type, members]) => [type, [...members].sort()])),
  }))
  const own = scopes.filter((scope) => gateway === null || scope.gateway === gateway)
  return { ztunnel: dump(set.ztunnel), gateway: dump(set.gateway), scopes: own }
}

function dump(resources: Resources): unknown {
  return Object.fromEntries(
    [...resources].map(([type, all]) => [type, [...all.values()].map((one) => show(type, one))]),
  )
}

function show(type: string, { name, version, bytes }: Resource): unknown {
  if (type === typeUrls.certificate) {
    const { source, chainPem } = fromBinary(l7.CertificateSchema, bytes)
    return { name, version, source: source?.name, chainPem, keyPem: '[redacted]' }
  }
  const schema = schemas[type as keyof typeof schemas]
  return { name, version, resource: toJson(schema, fromBinary(schema, bytes), { registry }) }
}

function statusDump({ pipeline, leader }: DebugOptions): unknown {
  const last = pipeline.last
  return {
    leading: leader.leading,
    error: pipeline.error,
    statuses: last?.translation.statuses ?? [],
    infra: (last?.translation.infra ?? []).map((desired) =>
      desired.kind === 'apply' ? { apply: desired.object } : { [desired.kind]: desired.ref },
    ),
    blocked: Object.fromEntries(last?.snapshot.blocked ?? []),
  }
}

/**
 * Whether every connected node proxy holds the current form of a pod's workload. With `resourceVersion`: false until the
 * translation has seen the pod at that version or later, or gone. The node agent asks before it takes capture away.
 */
function acknowledged({ pipeline, clients }: DebugOptions, query: URLSearchParams): unknown {
  const name = query.get('name') ?? ''
  const [, namespace, pod] = /\/\/Pod\/([^/]+)\/([^/]+)$/.exec(name) ?? []
  const wanted = query.get('resourceVersion')
  const last = pipeline.last
  const seen = last?.snapshot.pods.find(({ metadata }) => metadata.name === pod && metadata.namespace === namespace)
  const current =
    last !== undefined &&
    (wanted === null || seen === undefined || Number(seen.metadata.resourceVersion) >= Number(wanted))
  const behind = clients.behind(name)
  return { acknowledged: current && behind.length === 0, translated: current, behind }
}
