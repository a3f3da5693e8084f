// CORS (Gateway API HTTPCORSFilter, Fetch standard §3.3).
import { appendHeader, getHeader, type HeaderList, setHeader } from './headers.ts'

export interface CorsPolicy {
  readonly allowOrigins: readonly string[]
  readonly allowCredentials: boolean
  readonly allowMethods: readonly string[]
  readonly allowHeaders: readonly string[]
  readonly exposeHeaders: readonly string[]
  readonly maxAgeSeconds: number
}

/** A preflight is OPTIONS with an origin and a requested method; anything else is an ordinary request. */
export function isPreflight(method: string, origin: string | undefined, requestedMethod: string | undefined): boolean {
  return method === 'OPTIONS' && origin !== undefined && requestedMethod !== undefined
}

/** Headers for the response to an ordinary request; none when the origin is not allowed. */
export function corsHeaders(policy: CorsPolicy, origin: string): HeaderList {
  if (!allowsOrigin(policy, origin)) return []
  const headers: HeaderList = ['access-control-allow-origin', originAnswer(policy, origin)]
  if (policy.allowCredentials) headers.push('access-control-allow-credentials', 'true')
  if (policy.exposeHeaders.length > 0) {
    // "*" means all only to requests without credentials; with credentials it would be a header named "*".
    headers.push('access-control-expose-headers', policy.exposeHeaders.join(', '))
  }
  if (headers[1] !== '*') headers.push('vary', 'Origin')
  return headers
}

/** Puts them on a response, in place of the backend's own. What else it varies by, such as its coding, it goes on saying to caches. */
export function applyCors(response: HeaderList, policy: CorsPolicy, origin: string): void {
  const headers = corsHeaders(policy, origin)
  for (let i = 0; i < headers.length; i += 2) {
    const [name, value] = [headers[i]!, headers[i + 1]!]
    if (name !== 'vary') setHeader(response, name, value)
    else if (!/(?:^|,)\s*(?:\*|origin)\s*(?:,|$)/i.test(getHeader(response, name) ?? ''))
      appendHeader(response, name, value)
  }
}

/** Headers for the answer to a preflight; none when the origin is not allowed. */
export function preflightHeaders(
  policy: CorsPolicy,
  request: { readonly origin: string; readonly method: string; readonly headers: string | undefined },
): HeaderList {
  const headers = corsHeaders(policy, request.origin)
  if (headers.length === 0) return headers
  const methods = answerFor(policy, policy.allowMethods, request.method)
  if (methods !== '') headers.push('access-control-allow-methods', methods)
  const allowed = answerFor(policy, policy.allowHeaders, request.headers ?? '')
  if (allowed !== '') headers.push('access-control-allow-headers', allowed)
  if (policy.maxAgeSeconds > 0) headers.push('access-control-max-age', String(policy.maxAgeSeconds))
  return headers
}

/** "*" with credentials has to be answered with what was asked for. */
function answerFor(policy: CorsPolicy, list: readonly string[], asked: string): string {
  if (!list.includes('*')) return list.join(', ')
  return policy.allowCredentials ? asked : '*'
}

function originAnswer(policy: CorsPolicy, origin: string): string {
  return policy.allowOrigins.includes('*') && !policy.allowCredentials ? '*' : origin
}

function allowsOrigin(policy: CorsPolicy, origin: string): boolean {
  const asked = origin.toLowerCase()
  return policy.allowOrigins.some((pattern) => matchesOrigin(pattern.toLowerCase(), asked))
}

/** "https://*.example.com" takes any depth of labels; the scheme and port must be equal. */
function matchesOrigin(pattern: string, origin: string): boolean {
  if (pattern === '*' || pattern === origin) return true
  const star = pattern.indexOf('*')
  if (star < 0) return false
  const before = pattern.slice(0, star)
  const after = pattern.slice(star + 1)
  if (origin.length <= before.length + after.length || !origin.startsWith(before) || !origin.endsWith(after))
    return false
  return /^[a-z0-9._-]+$/.test(origin.slice(before.length, origin.length - after.length))
}
