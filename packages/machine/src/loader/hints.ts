// What a person may have meant: the field that a refusal speaks of, and the nearest of the names that exist. Pure.

/** The field that the API server's refusal names first, such as `spec.rules[0].backendRefs[0].port`; '' for none. */
export function fieldIn(message: string): string {
  const quoted = /unknown field "([^"]+)"/.exec(message)?.[1]
  return (
    quoted ??
    /(?:^|[\s[])((?:metadata|spec|data|stringData|status|rules|subjects|roleRef)[\w.[\]"/-]*):/.exec(message)?.[1] ??
    ''
  )
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}

/** The candidate that differs by a typing mistake or two; undefined when none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: { candidate: string; far: number } | undefined
  for (const candidate of candidates) {
    const far = distance(word.toLowerCase(), candidate.toLowerCase())
    if (far <= Math.min(2, Math.floor(word.length / 3)) && (!best || far < best.far)) best = { candidate, far }
  }
  return best?.candidate
}

/** Why there is no such kind, and what to write instead. `served` are the kinds that exist, as `apiVersion/Kind`. */
export function unknownKind(apiVersion: string, kind: string, served: Iterable<string>): string {
  const known = [...served].map((key) => ({
    apiVersion: key.slice(0, key.lastIndexOf('/')),
    kind: key.slice(key.lastIndexOf('/') + 1),
  }))
  const there = `there is no kind ${kind} in ${apiVersion}`
  const group = (text: string): string => (text.includes('/') ? (text.split('/')[0] ?? '') : '')
  const elsewhere =
    known.find((other) => other.kind === kind && group(other.apiVersion) === group(apiVersion)) ??
    known.find((other) => other.kind === kind)
  if (elsewhere) return `${there}; write apiVersion: ${elsewhere.apiVersion}`
  const near = nearest(
    kind,
    known.filter((other) => group(other.apiVersion) === group(apiVersion)).map((other) => other.kind),
  )
  if (near) return `${there}; did you mean ${near}?`
  return `${there}; check the spelling, or add its CustomResourceDefinition`
}
