// The ways in which a server may read a path. Used to judge, never to forward: what the backend sees is not changed.

/** The path as received, and where it differs, as a server reads it that decodes, drops parameters, and resolves. */
export function pathReadings(path: string): readonly string[] {
  if (!/%|\/\/|\/\.|\\|;/.test(path)) return [path]
  const normalised = normalise(path)
  return normalised === path ? [path] : [path, normalised]
}

/** Escapes decoded once, backslashes as slashes, doubled slashes as one, ";parameters" and dot segments gone. */
function normalise(path: string): string {
  const segments: string[] = []
  const decoded = decode(path.replace(/;[^/]*/g, '')).replace(/;[^/\\]*/g, '')
  const parts = decoded.split(/[/\\]+/)
  const last = parts.at(-1)
  for (const part of parts) {
    if (part === '..') segments.pop()
    else if (part !== '.' && part !== '') segments.push(part)
  }
  const isFolder = last === '' || last === '.' || last === '..'
  return `/${segments.join('/')}${isFolder && segments.length > 0 ? '/' : ''}`
}

/** Malformed escapes stay as they are. */
function decode(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => {
    try {
      return decodeURIComponent(escapes)
    } catch {
      return Buffer.from(escapes.replaceAll('%', ''), 'hex').toString('latin1')
    }
  })
}
