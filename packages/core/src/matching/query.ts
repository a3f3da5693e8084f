// The query string as names and values, for matching only: what is forwarded is the text as received.

/** Decoded names and values; of several equal names the first counts (Gateway API HTTPQueryParamMatch). */
export function parseQuery(query: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>()
  for (const part of query.split('&')) {
    if (part === '') continue
    const equals = part.indexOf('=')
    const name = decode(equals < 0 ? part : part.slice(0, equals))
    if (!values.has(name)) values.set(name, equals < 0 ? '' : decode(part.slice(equals + 1)))
  }
  return values
}

/** Percent escapes and "+"; text with broken escapes stands for itself. */
function decode(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text
  const spaced = text.replaceAll('+', ' ')
  try {
    return decodeURIComponent(spaced)
  } catch {
    return spaced
  }
}
