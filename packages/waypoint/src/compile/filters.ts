// Filters of the wire become one record; what may occur once keeps the first.
import type { HeaderModifier, PathRewrite } from '@wishbone/core/filters'
import type { l7 } from '@wishbone/proto'
import { compileBackend } from './backend.ts'
import { toMs } from './duration.ts'
import type { Filters, NamedFault } from './types.ts'

type Building = { -readonly [K in keyof Filters]: Filters[K] extends readonly (infer T)[] ? T[] : Filters[K] }

const unknownFilter = { status: 500, body: '', reason: 'a filter of a kind that this version does not know' }

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
  let host: string | undefined
  const broken = (modifier: l7.HeaderModifier) => {
    const name = unsendable(modifier)
    if (name !== undefined)
      result.direct ??= { status: 500, body: '', reason: `the filter's value of the header ${name} cannot be sent` }
  }
  const unknownPath = (path: l7.PathRewrite | undefined) => {
    if (path !== undefined && path.kind.case === undefined) result.direct ??= unknownFilter
  }
  for (const { kind } of filters) {
    switch (kind.case) {
      case 'requestHeaders': {
        broken(kind.value)
        const modifier = headerModifier(kind.value)
        result.requestHeaders.push(withoutHost(modifier))
        host = modifier.set.findLast(([name]) => isHost(name))?.[1] ?? host
        break
      }
      case 'responseHeaders':
        broken(kind.value)
        result.responseHeaders.push(headerModifier(kind.value))
        break
      case 'redirect':
        unknownPath(kind.value.path)
        result.redirect ??= {
          scheme: kind.value.scheme,
          hostname: kind.value.hostname,
          path: pathRewrite(kind.value.path),
          port: kind.value.port,
          status: kind.value.status || 302,
        }
        break
      case 'rewrite':
        unknownPath(kind.value.path)
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
        result.direct ??= unknownFilter
    }
  }
  if (host !== undefined) result.rewriteHost = host
  return result
}

/**
 * These say where a message ends (RFC 9112 §6), and the proxy alone knows: with another length, content of one route's backend
 * would pass for the next answer on the client's connection, which may be another host's. Others are the connection's (RFC 9110
 * §7.6.1), and Expect has been answered for.
 */
const ours =
  /^(?:content-length|transfer-encoding|trailer|connection|keep-alive|proxy-connection|upgrade|http2-settings|te|expect)$/i
/** RFC 9110 §5.6.2. */
const token = /^[a-z0-9!#$%&'*+.^_`|~-]+$/i
/** RFC 9110 §5.5. */
const forbiddenInValue = /[\0-\x08\x0a-\x1f\x7f]/

function headerModifier(modifier: l7.HeaderModifier): HeaderModifier {
  const fields = (list: readonly l7.HeaderValue[]) =>
    list.filter(({ name }) => mayChange(name)).map(({ name, value }) => [name, inUtf8(value)] as const)
  return { set: fields(modifier.set), add: fields(modifier.add), remove: modifier.remove.filter(mayChange) }
}

function mayChange(name: string): boolean {
  return token.test(name) && !ours.test(name)
}

/** node writes the characters of a field as bytes. */
function inUtf8(value: string): string {
  return String.fromCharCode(...new TextEncoder().encode(value))
}

/** The name of a field whose value none may have: without it, what it would have replaced could pass. */
function unsendable({ set, add }: l7.HeaderModifier): string | undefined {
  return [...set, ...add].find(({ name, value }) => mayChange(name) && forbiddenInValue.test(value))?.name
}

/** Host is no header among others: it is set as the authority, once, whatever the version of HTTP. */
function withoutHost(modifier: HeaderModifier): HeaderModifier {
  const others = (list: HeaderModifier['set']) => list.filter(([name]) => !isHost(name))
  return {
    set: others(modifier.set),
    add: others(modifier.add),
    remove: modifier.remove.filter((name) => !isHost(name)),
  }
}

function isHost(name: string): boolean {
  return name.toLowerCase() === 'host'
}

function pathRewrite(path: l7.PathRewrite | undefined): PathRewrite | undefined {
  const kind = path?.kind
  if (kind?.case === 'full') return { kind: 'full', value: inUrl(kind.value) }
  if (kind?.case === 'prefix') return { kind: 'prefix', value: inUrl(kind.value) }
  return undefined
}

/** Percent-encodes what no URL has (RFC 3986 §2); what is encoded already stays. */
function inUrl(path: string): string {
  return path.replace(/[^\x21-\x7e]+/g, (odd) => encodeURIComponent(odd.toWellFormed()))
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
