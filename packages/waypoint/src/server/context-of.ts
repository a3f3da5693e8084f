// The context of a request from its connection and its head: which listener, which rule.
import type { HeaderList } from '@wishbone/core/filters'
import { isMisdirected, type ListenerTable, match, type RouteTable, selectListener } from '../compile/index.ts'
import type { RequestContext, ResponseHook } from '../pipeline/context.ts'
import { Head, type IncomingRequest } from '../pipeline/head.ts'
import { upstreamHeaders } from '../pipeline/request-headers.ts'
import { clientAddress } from './client-address.ts'
import { type Connection, sourceNamespace } from './connection.ts'

const noMatch = { kind: 'no-match' } as const

class Context implements RequestContext {
  readonly request: IncomingRequest
  readonly head: Head
  readonly connection: Connection
  readonly listener: ListenerTable | undefined
  readonly misdirected: boolean
  readonly match: RequestContext['match']
  readonly requestHeaders: HeaderList
  readonly responseHooks: ResponseHook[] = []
  readonly logFields: Record<string, string | number | boolean> = {}

  constructor(table: RouteTable, connection: Connection, request: IncomingRequest) {
    const head = new Head(request)
    this.request = request
    this.head = head
    this.connection = connection
    const { listener, misdirected } = listenerOf(table, connection, head.host)
    this.listener = listener
    this.misdirected = misdirected
    this.match = listener === undefined ? noMatch : match(listener, head, sourceNamespace(connection))
    const { clientIpBytes, trustedHops } = connection
    if (trustedHops > 0) head.remoteIp = clientAddress(clientIpBytes, head.header('x-forwarded-for'), trustedHops)
    this.requestHeaders = upstreamHeaders(head, connection)
  }

  onResponse(hook: ResponseHook): void {
    this.responseHooks.push(hook)
  }
}

export function contextOf(table: RouteTable, connection: Connection, request: IncomingRequest): RequestContext {
  return new Context(table, connection, request)
}

function listenerOf(
  table: RouteTable,
  { destination }: Connection,
  host: string,
): { readonly listener: ListenerTable | undefined; readonly misdirected: boolean } {
  if (destination.kind === 'waypoint')
    return { listener: table.listeners.get(destination.listener), misdirected: false }
  const port = table.ports.get(destination.port)
  if (port === undefined) return { listener: undefined, misdirected: false }
  const listener = selectListener(port, host)
  const chosen = destination.sni === undefined ? undefined : table.listeners.get(destination.sni)
  return { listener, misdirected: chosen !== undefined && isMisdirected(port, chosen, host) }
}
