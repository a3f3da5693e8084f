// Filters that answer by themselves, and the path that is left after those that rewrite it.
import { decideFault, isPreflight, locationOf, preflightHeaders, rewritePath } from '@wishbone/core/filters'
import type { Filters } from '../compile/index.ts'
import { openPort } from '../server/low-ports.ts'
import type { RequestContext } from './context.ts'
import type { Head } from './head.ts'
import { grpcStatusOf, type LocalReply, statusReply } from './local-reply.ts'

/** Redirects, preflights and filters that stand for a broken one. Undefined: go on. */
export function earlyAnswer(
  filters: Filters,
  context: RequestContext,
  matchedPrefix: string,
): { readonly reply: LocalReply; readonly detail: string } | undefined {
  const { head, connection } = context
  if (filters.direct !== undefined) {
    const { status, body, reason } = filters.direct
    return { reply: statusReply(status, [], body), detail: `direct response: ${reason}` }
  }
  if (filters.cors !== undefined) {
    const origin = head.header('origin')
    const method = head.header('access-control-request-method')
    if (isPreflight(head.method, origin, method)) {
      const asked = { origin: origin!, method: method!, headers: head.header('access-control-request-headers') }
      return { reply: statusReply(204, preflightHeaders(filters.cors, asked)), detail: 'cors preflight' }
    }
  }
  if (filters.redirect !== undefined) {
    const location = locationOf(filters.redirect, {
      scheme: connection.scheme,
      host: hostWithoutPort(head.authority),
      path: head.path,
      query: head.query,
      matchedPrefix,
      listenerPort: connection.port,
      publicPort: (port) => openPort(port, connection.portOffset ?? 0),
    })
    return { reply: statusReply(filters.redirect.status, ['location', location]), detail: 'redirect' }
  }
  return undefined
}

/** All faults of a rule are drawn; delays add up, the first abort counts. */
export function faultOf(
  filters: Filters,
  random: () => number,
): { readonly delayMs: number; readonly reply: LocalReply | undefined } {
  let delayMs = 0
  let reply: LocalReply | undefined
  for (const fault of filters.faults) {
    const decision = decideFault(fault, random)
    delayMs += decision.delayMs
    if (decision.abort === undefined || reply !== undefined) continue
    const { status, grpcStatus } = decision.abort
    const source = fault.source === undefined ? '' : ` by ${fault.source.namespace}/${fault.source.name}`
    const body = `fault injected${source}\n`
    reply = { status, headers: [], body, grpcStatus: grpcStatus ?? grpcStatusOf(status), grpcMessage: body.trim() }
  }
  return { delayMs, reply }
}

/** Path and query to send; a backend's own rewrite counts before the rule's. */
export function targetOf(head: Head, matchedPrefix: string, rule: Filters, backend: Filters | null): string {
  const rewrite = backend?.rewritePath ?? rule.rewritePath
  if (rewrite === undefined) return head.target
  const path = rewritePath(rewrite, head.path, matchedPrefix)
  return head.query === '' ? path : `${path}?${head.query}`
}

function hostWithoutPort(authority: string): string {
  const end = authority.startsWith('[') ? authority.indexOf(']') + 1 : authority.indexOf(':')
  return end <= 0 ? authority : authority.slice(0, end)
}
