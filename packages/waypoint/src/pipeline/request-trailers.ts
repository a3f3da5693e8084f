// The trailers of a request, as they may be forwarded.
import type { HeaderList } from '@wishbone/core/filters'
import type { IncomingRequest } from './head.ts'

/** Fields that frame, route, authenticate or describe content mean nothing after it, or harm (RFC 9110 §6.5.1). */
const forbidden = new Set([
  'authorization',
  'cache-control',
  'connection',
  'cookie',
  'expect',
  'host',
  'keep-alive',
  'max-forwards',
  'pragma',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** To be asked for when the body has ended. */
export function requestTrailers(request: IncomingRequest): HeaderList {
  const { rawTrailers } = request
  const list: HeaderList = []
  for (let i = 0; i < rawTrailers.length; i += 2) {
    const name = rawTrailers[i]!.toLowerCase()
    if (forbidden.has(name) || /^(?::|content-|if-|x-forwarded-)/.test(name)) continue
    list.push(rawTrailers[i]!, rawTrailers[i + 1]!)
  }
  return list
}
