// Reads what a Go test binary prints with -test.v=test2json: which test is at work, what it logs, how it ends. Pure.

export type TestEvent =
  /** Runs, for the first time or again after it waited for its turn. */
  | { readonly kind: 'start'; readonly test: string }
  | { readonly kind: 'log'; readonly test: string; readonly text: string }
  /** `text`: what the test said as its error, maybe several lines. */
  | { readonly kind: 'error'; readonly test: string; readonly text: string }
  | { readonly kind: 'end'; readonly test: string; readonly result: Result }

export type Result = 'passed' | 'failed' | 'skipped'

// Control characters that frame lines and errors (package testing of Go 1.27): ^V before a line of the framework's
// own, ^O and ^N around an error's text, ^[ before any of them in a test's own words.
const framing = '\u0016'
const errorBegin = '\u000f'
const errorEnd = '\u000e'
const escaped = /\u001b([\u0016\u000f\u000e\u001b])/g

const results: Readonly<Record<string, Result>> = { PASS: 'passed', FAIL: 'failed', SKIP: 'skipped' }

/** Takes line after line, without line ends. */
export function createReader(onEvent: (event: TestEvent) => void): (line: string) => void {
  let test = ''
  // By test, because parallel tests take turns in the middle of an error.
  const errors = new Map<string, string[]>()
  const readFrame = (words: readonly string[]): void => {
    test = words[2] ?? test
    const [kind, word = ''] = words
    if (kind === '===' && (word === 'RUN' || word === 'CONT')) onEvent({ kind: 'start', test })
    const result = kind === '---' ? results[word.replace(':', '')] : undefined
    if (result) onEvent({ kind: 'end', test, result })
  }
  return (line) => {
    if (line.startsWith(framing)) {
      readFrame(line.slice(1).trim().split(/\s+/))
      return
    }
    const begins = line.startsWith(errorBegin)
    const ends = line.endsWith(errorEnd)
    const text = line.slice(begins ? 1 : 0, ends ? -1 : undefined).replace(escaped, '$1')
    if (begins) errors.set(test, [])
    const error = errors.get(test)
    if (!error) {
      onEvent({ kind: 'log', test, text })
      return
    }
    error.push(text)
    if (!ends) return
    errors.delete(test)
    onEvent({ kind: 'error', test, text: error.join('\n') })
  }
}
