// The headers that a backend sees: the client's, without those of the connection, with what a proxy adds.
import { appendHeader, applyHeaderModifier, type HeaderList, removeHeader, setHeader } from '@wishbone/core/filters'
import type { Filters } from '../compile/index.ts'
import type { Connection } from '../server/connection.ts'
import { forwardableHeaders, type Head } from './head.ts'

export function upstreamHeaders(head: Head, connection: Connection): HeaderList {
  const headers = forwardableHeaders(head)
  const { clientIp, scheme, destination, trustedHops } = connection
  if (head.header('x-forwarded-for') === undefined) headers.push('x-forwarded-for', clientIp)
  else appendHeader(headers, 'x-forwarded-for', clientIp)
  // In front of a waypoint stands a client or gateway of the mesh, whose word counts; in front of a gateway, anyone.
  if (head.header('x-forwarded-proto') === undefined) headers.push('x-forwarded-proto', scheme)
  else if (destination.kind === 'gateway' && trustedHops === 0) setHeader(headers, 'x-forwarded-proto', scheme)
  // Only a proxy that is trusted may say whose certificate it saw.
  if (destination.kind === 'gateway' && trustedHops === 0) removeHeader(headers, 'x-forwarded-client-cert')
  // RFC 7239, for those who use it; an element of ours tells apart what was there before.
  if (head.header('forwarded') !== undefined) appendHeader(headers, 'forwarded', forwardedElement(clientIp, scheme))
  return headers
}

function forwardedElement(ip: string, scheme: string): string {
  return `for=${ip.includes(':') ? `"[${ip}]"` : ip};proto=${scheme}`
}

/** Applies header filters; Host is the authority and not in the list. Answers the authority to send. */
export function applyRequestFilters(headers: HeaderList, authority: string, filters: Filters): string {
  for (const modifier of filters.requestHeaders) applyHeaderModifier(headers, modifier)
  return filters.rewriteHost === '' ? authority : filters.rewriteHost
}
