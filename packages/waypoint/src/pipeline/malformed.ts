// What node's parsers let through and no server may guess about (RFC 9112 §3.2, RFC 9113 §8.3.1). Pure.
import type { Head, IncomingRequest } from './head.ts'

/** A name, IPv4 address or bracketed IPv6 address, and perhaps a port. Conformance tests use underscores. */
const authorityForm = /^(?:\[[0-9a-f:.]+\]|[a-z0-9_.~!$&'()*+,;=%-]*)(?::\d{0,5})?$/i
/** Of a target nothing but the query may have odd characters; a fragment is never sent. */
const forbiddenInTarget = /[#\0-\x20\x7f]/

/** Why the request is answered with 400, in words; undefined: it is sound. */
export function malformed(request: IncomingRequest, head: Head): string | undefined {
  if (request.httpVersion === '0.9') return 'HTTP/0.9 is not spoken here'
  if (forbiddenInTarget.test(head.target)) return 'the target has a fragment or a character that no target has'
  if (!authorityForm.test(head.authority)) return 'its Host is no host'
  if (head.isHttp2) return namesAnotherHost(head) ? 'its Host is another than its :authority' : undefined
  const hosts = countOf(head.rawHeaders, 'host')
  if (hosts > 1) return 'it has more than one Host'
  return hosts === 0 && request.httpVersionMinor >= 1 ? 'it has no Host' : undefined
}

/** RFC 9113 §8.3.1. Backends, and what stands in front of us, may go by the one that we did not. */
function namesAnotherHost(head: Head): boolean {
  const host = head.header('host')
  return host !== undefined && host !== head.authority && host.toLowerCase() !== head.authority.toLowerCase()
}

function countOf(rawHeaders: readonly string[], name: string): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (rawHeaders[i]!.length === name.length && rawHeaders[i]!.toLowerCase() === name) count++
  return count
}
