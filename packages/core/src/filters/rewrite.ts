// Path rewriting (Gateway API HTTPPathModifier).

export type PathRewrite =
  | { readonly kind: 'full'; readonly value: string }
  | { readonly kind: 'prefix'; readonly value: string }

/**
 * The new path, without query. `matchedPrefix` is the prefix that matched, without its final slash ("" when the match
 * was not by prefix): "/foo" replaced by "/" turns "/foo/bar" into "/bar" and "/foo" into "/".
 */
export function rewritePath(rewrite: PathRewrite, path: string, matchedPrefix: string): string {
  if (rewrite.kind === 'full') return rewrite.value.startsWith('/') ? rewrite.value : `/${rewrite.value}`
  const rest = path.slice(matchedPrefix.length)
  const base = rewrite.value.endsWith('/') ? rewrite.value.slice(0, -1) : rewrite.value
  const joined = rest === '' || rest.startsWith('/') ? base + rest : `${base}/${rest}`
  return joined === '' ? '/' : joined.startsWith('/') ? joined : `/${joined}`
}
