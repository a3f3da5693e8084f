// How large a regular expression becomes when its repeats are written out. It is linear in the text, but what a character of the
// text costs is this size, and so is what compiling costs: the 12 characters of "[ab]{0,1000}" are 2,000 instructions.

const repeat = /\{(\d{1,9})(,(\d{0,9}))?\}/y
/** Where a group begins, with its name or flags; flags alone have no group. */
const group = /\((?:\?(?:P?<\w+>|[a-zA-Z]*(?:-[a-zA-Z]+)?[:)]))?/y
const escaped = /\\(?:[pP](?:\{[^}]*\}|.)|x(?:\{[^}]*\}|..)|[0-7]{1,3}|.)/sy
/** A "]" at the beginning is one of the characters; names such as "[:alpha:]" have one too. */
const characters = /\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]/sy
/** What an empty alternative, or nothing at all, is made of, and where all of it begins and ends. */
const margin = 4

interface Level {
  size: number
  /** Of what a repeat that follows would repeat; it is part of `size`. */
  last: number
}

/** No less than the number of instructions that RE2 makes of an expression; any number for text that is none. */
export function patternSize(source: string): number {
  const levels: Level[] = [{ size: 0, last: 0 }]
  const add = (size: number) => {
    const level = levels.at(-1)!
    level.size += size
    level.last = size
  }
  /** Moves past what `pattern` finds here. */
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const found = pattern.exec(source)
    if (found !== null) at = pattern.lastIndex
    return found
  }
  let at = 0
  while (at < source.length) {
    const character = source[at]!
    if (source.startsWith('\\Q', at)) {
      const end = source.indexOf('\\E', at)
      for (at += 2; at < (end < 0 ? source.length : end); at++) add(1)
      if (end >= 0) at += 2
    } else if (character === '\\' && take(escaped)) add(1)
    else if (character === '[') {
      if (take(characters) === null) break
      add(1)
    } else if (character === '(') {
      if (!take(group)![0].endsWith(')')) levels.push({ size: 0, last: 0 })
    } else {
      const times = character === '{' ? take(repeat) : null
      if (times === null) at++
      if (times !== null) again(levels.at(-1)!, timesOf(times))
      else if (character === '*' || character === '+' || character === '?') again(levels.at(-1)!, 1)
      else if (character === ')' && levels.length > 1) add(levels.pop()!.size + margin)
      else add(character === '|' ? 2 : 1)
    }
  }
  return levels.reduce((sum, { size }) => sum + size, margin)
}

/** "{2}" is two; "{2,5}" at most five; "{2,}" two and one more that loops. */
function timesOf([, from, more, to]: RegExpExecArray): number {
  if (more === undefined) return Math.max(1, Number(from))
  return to === '' ? Number(from) + 1 : Math.max(1, Number(to))
}

function again(level: Level, times: number): void {
  // Each may have a fork of its own, and the last a loop.
  const size = times * (level.last + 1) + 1
  level.size += size - level.last
  level.last = size
}
