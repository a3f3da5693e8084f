// Trailers, of requests and responses, as they may be forwarded.
import type { HeaderList } from '@wishbone/core/filters'

/** Fields that frame, route, authenticate, control or describe content mean nothing after it, or harm (RFC 9110 §6.5.1). */
const forbidden = new Set([
  'age',
  'authorization',
  'cache-control',
  'connection',
  'cookie',
  'date',
  'expect',
  'expires',
  'host',
  'keep-alive',
  'location',
  'max-forwards',
  'pragma',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'retry-after',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'vary',
  'www-authenticate',
  'x-real-ip',
])

/** Digests (RFC 9530) are what trailers are for. */
const forbiddenKind = /^(?::|content-(?!digest$)|if-|x-(?:forwarded|envoy)-)/

/** Names and values in turn. */
export function forwardableTrailers(trailers: readonly string[]): HeaderList {
  const list: HeaderList = []
  for (let i = 0; i < trailers.length; i += 2) {
    // Backends may not tell the two apart.
    const name = trailers[i]!.toLowerCase().replaceAll('_', '-')
    if (!forbidden.has(name) && !forbiddenKind.test(name)) list.push(trailers[i]!, trailers[i + 1]!)
  }
  return list
}
