// Answers that the proxy gives itself: errors, redirects, preflights, faults.
import { errorTable, type MeshErrorCode } from '@wishbone/core/errors'
import type { HeaderList } from '@wishbone/core/filters'
import type { Responder } from './responder.ts'

export interface LocalReply {
  readonly status: number
  readonly headers: HeaderList
  readonly body: string
  /** Set: a gRPC client is answered with this status instead. */
  readonly grpcStatus: number | undefined
  readonly grpcMessage: string
}

/** The answer to a failure, as its table says. */
export function errorReply(code: MeshErrorCode): LocalReply {
  const { httpStatus, grpcStatus, title } = errorTable[code]
  return { status: httpStatus, headers: [], body: `${title}\n`, grpcStatus, grpcMessage: title }
}

export function statusReply(status: number, headers: HeaderList = [], body = ''): LocalReply {
  return { status, headers, body, grpcStatus: grpcStatusOf(status), grpcMessage: body || `HTTP status ${status}` }
}

/** Sends it; for gRPC as a response of trailers only. Answers the number of body bytes. */
export function sendLocalReply(responder: Responder, reply: LocalReply, isGrpc: boolean): number {
  if (isGrpc && reply.grpcStatus !== undefined) {
    const grpc = ['grpc-status', String(reply.grpcStatus), 'grpc-message', encodeMessage(reply.grpcMessage)]
    responder.head(200, ['content-type', 'application/grpc', ...grpc], true)
    return 0
  }
  if (reply.body === '') {
    responder.head(reply.status, [...reply.headers], true)
    return 0
  }
  const body = Buffer.from(reply.body)
  const common = ['content-type', 'text/plain; charset=utf-8', 'content-length', String(body.length)]
  responder.head(reply.status, [...reply.headers, ...common], false)
  responder.data(body)
  responder.end(null)
  return body.length
}

/** gRPC's own mapping of HTTP statuses (grpc: doc/http-grpc-status-mapping.md). */
export function grpcStatusOf(status: number): number {
  switch (status) {
    case 400:
      return 13
    case 401:
      return 16
    case 403:
      return 7
    case 404:
      return 12
    case 429:
    case 502:
    case 503:
    case 504:
      return 14
    default:
      return 2
  }
}

/** Percent-encoding of grpc-message (gRPC over HTTP/2, Responses). */
function encodeMessage(text: string): string {
  return encodeURIComponent(text).replaceAll('%20', ' ')
}
