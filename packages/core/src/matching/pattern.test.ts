import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { RE2JS } from 're2js'
import { expect, test } from 'vitest'
import { compilePattern } from './pattern.ts'
import { patternSize } from './pattern-size.ts'

/** Pieces of which many make an expression, and some together none. */
const piece = fc.constantFrom(
  ...[
    'a',
    '.',
    '\\d',
    '\\pL',
    '\\p{Greek}',
    '\\x{61}',
    '\\n',
    '[a-c]',
    '[^]a]',
    '[[:alpha:]]',
    '[\\]\\\\]',
    '[{]',
    '^',
    '$',
    '\\b',
  ],
  ...[
    '(',
    '(',
    '(?:',
    '(?P<n>',
    '(?<m>',
    '(?i)',
    '(?i:',
    '(?s-i:',
    ')',
    ')',
    ')',
    '|',
    '{',
    '}',
    '\\Qa{9}\\E',
    '\\{',
    'é',
    '𝄞',
  ],
  ...['*', '+', '?', '*?', '{3}', '{2,}', '{0,9}', '{0,40}', '{5,7}?', '{0}', '{,3}', '{007}'],
)

test('the size of an expression is never more than what is reckoned', () => {
  let compiled = 0
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const source = pieces.join('')
      const size = sizeOf(source)
      if (size === undefined) return
      compiled++
      expect(patternSize(source)).toBeGreaterThanOrEqual(size)
    }),
    { numRuns: 3_000 },
  )
  expect(compiled).toBeGreaterThan(300)
})

function sizeOf(source: string): number | undefined {
  try {
    return RE2JS.compile(source).programSize()
  } catch {
    return undefined
  }
}

test.each([
  ['/users/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}', true],
  ['[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?(?:\\.[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?){1,10}', true],
  ['.{1,1000}', true],
  [Array.from({ length: 400 }, (_, index) => `/word-${index}`).join('|'), true],
  ['x'.repeat(4_096), true],
  ['x'.repeat(4_097), false],
  ['[ab]{0,1000}'.repeat(32), false],
  ['(?:[ab]{0,30}){0,30}'.repeat(32), false],
  ['\\pL{1000}'.repeat(110), false],
])('%.60s: taken: %s', (source, taken) => {
  expect(compilePattern(source) !== undefined).toBe(taken)
})

test('what nobody would write is refused in no time', () => {
  for (const source of ['[', '(', '\\', '\\p{', '(?a', '[[:a:]', '{1', 'a{1000}', '[ab]{0,1000}']) {
    const began = performance.now()
    compilePattern(source.repeat(4_000).slice(0, 4_096))
    expect([source, performance.now() - began < 500]).toEqual([source, true])
  }
})

const text = fc.string({
  unit: fc.constantFrom('a', 'b', 'A', '\n', '1', 'é', '𝄞', '\ud834', 'α', ' ', '-'),
  maxLength: 8,
})

test('the whole text is matched, as by the engine itself', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), fc.array(text, { maxLength: 5 }), (pieces, texts) => {
      const source = pieces.join('')
      const pattern = compilePattern(source)
      expect(pattern === undefined).toBe(sizeOf(source) === undefined)
      for (const one of texts)
        if (pattern !== undefined) expect([one, pattern.test(one)]).toEqual([one, RE2JS.compile(source).matches(one)])
    }),
    { numRuns: 2_000 },
  )
})

test('what clients send does not fill the memory with what expressions remember of it', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const used = () => {
    collect()
    return process.memoryUsage().heapUsed
  }
  // Each character leads to another state of many steps.
  const patterns = Array.from({ length: 8 }, (_, index) => compilePattern(`[ab]*a[ab]{1000}${index}`)!)
  const before = used()
  let seed = 1
  const random = () => (seed = (seed * 48_271) % 0x7fff_ffff) / 0x7fff_ffff
  for (const pattern of patterns)
    expect(pattern.test(Array.from({ length: 4_000 }, () => (random() < 0.5 ? 'a' : 'b')).join(''))).toBe(false)
  expect((used() - before) / patterns.length).toBeLessThan(2 << 20)
})
