// A request that asks for another protocol on its connection (WebSocket): a connection of its own, which belongs to the
// client from the 101 on.
import http from 'node:http'
import type { Duplex } from 'node:stream'
import { MeshError } from '@wishbone/core/errors'
import type { HeaderList } from '@wishbone/core/filters'
import { isConnectionHeader, type UpstreamRequest } from './exchange.ts'

export type UpgradeAnswer =
  | { readonly kind: 'switched'; readonly headers: HeaderList; readonly stream: Duplex; readonly head: Buffer }
  /** An ordinary response; `body` is to be read. */
  | {
      readonly kind: 'response'
      readonly status: number
      readonly headers: HeaderList
      readonly body: http.IncomingMessage
    }

/** Sends the request on `stream` and takes the first answer. Rejects with a MeshError. */
export function requestUpgrade(
  stream: Duplex,
  request: UpstreamRequest,
  protocol: string,
  signal: AbortSignal,
): Promise<UpgradeAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<UpgradeAnswer>()
  const outgoing = http.request({
    method: request.method,
    path: request.target,
    headers: ['host', request.authority, 'connection', 'Upgrade', 'upgrade', protocol, ...request.headers],
    createConnection: () => stream,
    setHost: false,
    signal,
  })
  outgoing.once('upgrade', (response, upgraded, head) =>
    resolve({ kind: 'switched', headers: withoutConnection(response.rawHeaders), stream: upgraded, head }),
  )
  outgoing.once('response', (response) =>
    resolve({
      kind: 'response',
      status: response.statusCode ?? 502,
      headers: withoutConnection(response.rawHeaders),
      body: response,
    }),
  )
  outgoing.on('error', (cause) => {
    stream.destroy()
    reject(
      new MeshError('backend-reset', 'the backend closed the connection before it answered', { at: 'upstream', cause }),
    )
  })
  outgoing.end()
  return promise
}

function withoutConnection(raw: readonly string[]): HeaderList {
  const headers: HeaderList = []
  for (let i = 0; i < raw.length; i += 2)
    if (!isConnectionHeader(raw[i]!.toLowerCase())) headers.push(raw[i]!, raw[i + 1]!)
  return headers
}
