// Hostnames of routes and listeners: where they overlap (Gateway API, HTTPRoute.spec.hostnames).

export interface RouteHostname {
  /** What requests are compared with; "" for any. */
  readonly effective: string
  /** As the route wrote it; "" if it wrote none. */
  readonly original: string
}

/** Empty: they have no host in common. `listener` "" and an empty list accept every host. */
export function intersectHostnames(listener: string, route: readonly string[]): readonly RouteHostname[] {
  if (route.length === 0) return [{ effective: listener.toLowerCase(), original: '' }]
  return route.flatMap((written) => {
    const effective = intersect(listener.toLowerCase(), written.toLowerCase())
    return effective === undefined ? [] : [{ effective, original: written.toLowerCase() }]
  })
}

function intersect(a: string, b: string): string | undefined {
  if (a === '') return b
  if (a === b) return a
  if (includes(a, b)) return b
  return includes(b, a) ? a : undefined
}

/** "*.example.com" includes every name below example.com, wildcards too, but not example.com itself. */
function includes(wildcard: string, name: string): boolean {
  if (!wildcard.startsWith('*.')) return false
  const bare = name.startsWith('*.') ? name.slice(1) : name
  return bare.endsWith(wildcard.slice(1)) && bare.length > wildcard.length - 1
}
