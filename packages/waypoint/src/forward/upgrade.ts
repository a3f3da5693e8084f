// A request that asks for WebSocket on its connection: a connection of its own, which belongs to the client from the 101 on.
import http from 'node:http'
import type { Duplex } from 'node:stream'
import { MeshError } from '@wishbone/core/errors'
import type { HeaderList } from '@wishbone/core/filters'
import { responseHeaders, type UpstreamRequest } from './exchange.ts'
import { brokenCoding, brokenStatus, InterimResponses } from './response-rules.ts'

export type UpgradeAnswer =
  | { readonly kind: 'switched'; readonly headers: HeaderList; readonly stream: Duplex; readonly head: Buffer }
  /** An ordinary response; `body` is to be read. */
  | {
      readonly kind: 'response'
      readonly status: number
      readonly headers: HeaderList
      readonly body: http.IncomingMessage
    }

/** Sends the request on `stream` and takes the first answer. Rejects with a MeshError, that of `signal` once it is aborted. */
export function requestUpgrade(stream: Duplex, request: UpstreamRequest, signal: AbortSignal): Promise<UpgradeAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<UpgradeAnswer>()
  const outgoing = http.request({
    method: request.method,
    path: request.target,
    headers: ['host', request.authority, 'connection', 'Upgrade', 'upgrade', 'websocket', ...request.headers],
    createConnection: () => stream,
    setHost: false,
    signal,
  })
  const breakOff = (error: MeshError) => {
    reject(error)
    stream.destroy()
  }
  outgoing.once('upgrade', (response, upgraded, head) => {
    const protocol = response.headers.upgrade ?? ''
    const headers = responseHeaders(response.rawHeaders)
    if (protocol.toLowerCase() === 'websocket') resolve({ kind: 'switched', headers, stream: upgraded, head })
    else breakOff(new MeshError('backend-protocol', `the backend switches to "${protocol}"`, { at: 'upstream' }))
  })
  const interim = new InterimResponses()
  outgoing.on('information', ({ statusCode, rawHeaders }) => {
    const broken = interim.broken(statusCode, rawHeaders)
    if (broken !== undefined) breakOff(broken)
  })
  let body: http.IncomingMessage | undefined
  outgoing.once('response', (response) => {
    const status = response.statusCode ?? 0
    const broken = brokenStatus(status) ?? brokenCoding(response.headers['transfer-encoding'])
    if (broken !== undefined) return breakOff(broken)
    body = response
    resolve({ kind: 'response', status, headers: responseHeaders(response.rawHeaders), body: response })
  })
  outgoing.on('error', (cause) => {
    stream.destroy()
    const error = signal.aborted
      ? MeshError.from(signal.reason)
      : new MeshError('backend-reset', 'the backend closed the connection in the middle', { at: 'upstream', cause })
    // node takes a reset for the end of a response that has no other, and nobody can tell what is missing (RFC 9112 §8).
    body?.destroy(error)
    reject(error)
  })
  outgoing.end()
  return promise
}
