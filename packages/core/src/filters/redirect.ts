// The Location of a redirect (Gateway API HTTPRequestRedirectFilter).
import { type PathRewrite, rewritePath } from './rewrite.ts'

export interface Redirect {
  /** "" keeps the request's. */
  readonly scheme: string
  readonly hostname: string
  readonly path: PathRewrite | undefined
  /** 0: see `locationOf`. */
  readonly port: number
  readonly status: number
}

export interface RedirectFacts {
  readonly scheme: string
  /** The request's host without port. */
  readonly host: string
  readonly path: string
  /** Without "?". */
  readonly query: string
  readonly matchedPrefix: string
  /** Port of the listener that the request came in on. */
  readonly listenerPort: number
  /** Where clients find this host's port; where it is when absent. */
  readonly publicPort?: (port: number) => number
}

const wellKnownPort: Readonly<Record<string, number>> = { http: 80, https: 443 }

/** Without a port: the well-known port of the scheme that the filter names, else the listener's. Well-known ports are left out. */
export function locationOf(redirect: Redirect, facts: RedirectFacts): string {
  const scheme = redirect.scheme === '' ? facts.scheme : redirect.scheme
  const host = redirect.hostname === '' ? facts.host : redirect.hostname
  const meant =
    redirect.port !== 0 ? redirect.port : redirect.scheme === '' ? facts.listenerPort : (wellKnownPort[scheme] ?? 0)
  const isOurs = redirect.hostname === '' && meant !== 0
  const port = isOurs && facts.publicPort !== undefined ? facts.publicPort(meant) : meant
  const path = redirect.path === undefined ? facts.path : rewritePath(redirect.path, facts.path, facts.matchedPrefix)
  const authority = port === 0 || port === wellKnownPort[scheme] ? host : `${host}:${port}`
  return `${scheme}://${authority}${path}${facts.query === '' ? '' : `?${facts.query}`}`
}
