// Filters of the wire become one record; what may occur once keeps the first.
import type { HeaderModifier, PathRewrite } from '@wishbone/core/filters'
import type { l7 } from '@wishbone/proto'
import { compileBackend } from './backend.ts'
import { toMs } from './duration.ts'
import type { Filters, NamedFault } from './types.ts'

type Building = { -readonly [K in keyof Filters]: Filters[K] extends readonly (infer T)[] ? T[] : Filters[K] }

export function compileFilters(filters: readonly l7.Filter[]): Filters {
  const result: Building = {
    requestHeaders: [],
    responseHeaders: [],
    redirect: undefined,
    rewriteHost: '',
    rewritePath: undefined,
    mirrors: [],
    cors: undefined,
    faults: [],
    direct: undefined,
  }
  for (const { kind } of filters) {
    switch (kind.case) {
      case 'requestHeaders':
        result.requestHeaders.push(headerModifier(kind.value))
        break
      case 'responseHeaders':
        result.responseHeaders.push(headerModifier(kind.value))
        break
      case 'redirect':
        result.redirect ??= {
          scheme: kind.value.scheme,
          hostname: kind.value.hostname,
          path: pathRewrite(kind.value.path),
          port: kind.value.port,
          status: kind.value.status || 302,
        }
        break
      case 'rewrite':
        if (result.rewriteHost === '') result.rewriteHost = kind.value.hostname
        result.rewritePath ??= pathRewrite(kind.value.path)
        break
      case 'mirror':
        result.mirrors.push({
          backend: compileBackend(kind.value.backend, 1, null),
          numerator: kind.value.numerator,
          denominator: kind.value.denominator,
        })
        break
      case 'cors':
        result.cors ??= kind.value
        break
      case 'fault':
        result.faults.push(fault(kind.value))
        break
      case 'direct':
        result.direct ??= { status: kind.value.status || 500, body: kind.value.body, reason: kind.value.reason }
        break
      case undefined:
        // A filter of a later protocol: going on without it could let through what it would have stopped.
        result.direct ??= { status: 500, body: '', reason: 'a filter of a kind that this version does not know' }
    }
  }
  return result
}

/**
 * These say where a message ends (RFC 9112 §6), and the proxy alone knows: with another length, content of one route's backend
 * would pass for the next answer on the client's connection, which may be another host's.
 */
const framing = /^(?:content-length|transfer-encoding)$/i

function headerModifier(modifier: l7.HeaderModifier): HeaderModifier {
  const fields = (list: readonly l7.HeaderValue[]) =>
    list.filter(({ name }) => !framing.test(name)).map(({ name, value }) => [name, value] as const)
  return {
    set: fields(modifier.set),
    add: fields(modifier.add),
    remove: modifier.remove.filter((name) => !framing.test(name)),
  }
}

function pathRewrite(path: l7.PathRewrite | undefined): PathRewrite | undefined {
  const kind = path?.kind
  if (kind?.case === 'full') return { kind: 'full', value: kind.value }
  if (kind?.case === 'prefix') return { kind: 'prefix', value: kind.value }
  return undefined
}

function fault(message: l7.FaultInjection): NamedFault {
  return {
    source: message.source,
    delayMs: toMs(message.delay) ?? 0,
    delayPercent: message.delayPercent,
    abortStatus: message.abortStatus,
    abortGrpcStatus: message.abortGrpc ? message.abortGrpcStatus : undefined,
    abortPercent: message.abortPercent,
  }
}
