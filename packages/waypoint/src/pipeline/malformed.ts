// What node's parsers let through and no server may guess about (RFC 9112 §3.2 and §6.1, RFC 9113 §8.3.1). Pure.
import { type Head, hasBody, type IncomingRequest } from './head.ts'

/** A name, IPv4 address or bracketed IPv6 address, and perhaps a port. Conformance tests use underscores. */
const authorityForm = /^(?:\[[0-9a-f:.]+\]|[a-z0-9_.~!$&'()*+,;=%-]*)(?::\d{0,5})?$/i
/** Of a target nothing but the query may have odd characters; a fragment is never sent. */
const forbiddenInTarget = /[#\0-\x20\x7f]/
/** An http URI without a host is none (RFC 9110 §4.2.1). */
const noHostForm = /^https?:\/\/(?:[:/?]|$)/i
/** Names that frame a message or that backends believe because proxies write them. */
const trustedName =
  /^(?:content-length|transfer-encoding|keep-alive|proxy-connection|x-real-ip|x-(?:forwarded|envoy)-.*)$/

/** Why the request is answered with 400, in words; undefined: it is sound. */
export function malformed(request: IncomingRequest, head: Head): string | undefined {
  if (head.target.charCodeAt(0) !== 0x2f && !(head.target === '*' && head.method === 'OPTIONS'))
    return 'its target is neither a path nor an http URI'
  if (forbiddenInTarget.test(head.target)) return 'the target has a fragment or a character that no target has'
  if (!authorityForm.test(head.authority)) return 'its Host is no host'
  if (head.method === 'TRACE' && hasBody(request, head)) return 'a TRACE has no content'
  if (namesAnotherHost(head))
    return `its Host is another than ${head.isHttp2 ? 'its :authority' : 'that of its target'}`
  const ofVersion = head.isHttp2 ? undefined : malformedHttp1(request, head)
  return ofVersion ?? misleadingName(head.rawHeaders)
}

function malformedHttp1(request: IncomingRequest, head: Head): string | undefined {
  if (request.httpVersionMajor !== 1) return `HTTP/${request.httpVersion} is not spoken here`
  if (noHostForm.test(request.url ?? '')) return 'its target has no host'
  const coding = head.header('transfer-encoding')
  if (coding !== undefined) {
    if (request.httpVersionMinor === 0) return 'HTTP/1.0 has no Transfer-Encoding'
    // Other codings, and lists that amount to this one, are read in more ways than one.
    if (coding.toLowerCase() !== 'chunked') return 'its Transfer-Encoding is not "chunked"'
  }
  const hosts = countOf(head.rawHeaders, 'host')
  if (hosts > 1) return 'it has more than one Host'
  return hosts === 0 && request.httpVersionMinor >= 1 ? 'it has no Host' : undefined
}

/** RFC 9112 §3.2, RFC 9113 §8.3.1. Backends, and what stands in front of us, may go by the one that we did not. */
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

/**
 * A name that CGI, WSGI and their like cannot tell from one that frames the message or that proxies vouch for: they write "-" as
 * "_". nginx drops every name with an underscore (underscores_in_headers), Envoy none unless told
 * (headers_with_underscores_action); here those that could be taken for such a one are refused, and others pass.
 */
function misleadingName(rawHeaders: readonly string[]): string | undefined {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.includes('_') && trustedName.test(name.replaceAll('_', '-').toLowerCase()))
      return `its header ${name} could be taken for another one`
  }
  return undefined
}
