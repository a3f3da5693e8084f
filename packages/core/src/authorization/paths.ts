// The ways in which a server may read a path. Used to judge, never to forward: what the backend sees is not changed.

/** What one server does and another does not, in the orders in which they do it. Each is done once, or not. */
const steps: readonly ((path: string) => string)[] = [
  withoutParameters,
  decode,
  // An escaped ";" as well.
  withoutParameters,
  (path) => path.replaceAll('\\', '/'),
  // Some resolve before they merge, most after.
  resolveDots,
  (path) => path.replace(/\/{2,}/g, '/'),
  resolveDots,
]

/**
 * The path as received, and every other path that a server may take it for which does some of this and not the rest: drops
 * ";parameters", decodes escapes once, takes backslashes for slashes, merges slashes, resolves dot segments. One that does all
 * may step out of a folder in which one that does less stays, so each combination counts.
 */
export function pathReadings(path: string): readonly string[] {
  if (path !== last.path) last = { path, readings: readingsOf(path) }
  return last.readings
}

/** Policies are asked one after the other about the same path. */
let last: { readonly path: string; readonly readings: readonly string[] } = { path: '', readings: [''] }

function readingsOf(path: string): readonly string[] {
  if (!/%|\/\/|\/\.|\\|;/.test(path)) return [path]
  const readings = new Set([path])
  for (const step of steps) for (const reading of [...readings]) readings.add(step(reading))
  return [...readings]
}

function withoutParameters(path: string): string {
  return path.includes(';') ? path.replace(/;[^/\\]*/g, '') : path
}

/** RFC 3986 §5.2.4: an empty segment is a segment like any other. */
function resolveDots(path: string): string {
  if (!path.includes('/.')) return path
  const segments: string[] = []
  const parts = path.split('/').slice(1)
  for (const part of parts) {
    if (part === '..') segments.pop()
    else if (part !== '.') segments.push(part)
  }
  const last = parts.at(-1)
  if (last === '.' || last === '..') segments.push('')
  return `/${segments.join('/')}`
}

/** Malformed escapes stay as they are. */
function decode(path: string): string {
  return path.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => {
    try {
      return decodeURIComponent(escapes)
    } catch {
      return Buffer.from(escapes.replaceAll('%', ''), 'hex').toString('latin1')
    }
  })
}
