import { expect, test } from 'vitest'
import { createReader, type TestEvent } from './output.ts'

function read(text: string): readonly TestEvent[] {
  const events: TestEvent[] = []
  const reader = createReader((event) => events.push(event))
  for (const line of text.replaceAll('^V', '\u0016').replaceAll('^O', '\u000f').replaceAll('^N', '\u000e').split('\n'))
    reader(line)
  return events
}

test('logs, errors and ends belong to the test that the frames name', () => {
  const events = read(`^V=== RUN   TestConformance/A
    a.go:1: one
^V=== NAME  TestConformance/A/part
^O    Error Trace: a.go:2
    Error: no^N
^V--- FAIL: TestConformance/A/part (1.20s)
^V--- FAIL: TestConformance/A (3.00s)`)
  expect(events).toEqual([
    { kind: 'start', test: 'TestConformance/A' },
    { kind: 'log', test: 'TestConformance/A', text: '    a.go:1: one' },
    { kind: 'error', test: 'TestConformance/A/part', text: '    Error Trace: a.go:2\n    Error: no' },
    { kind: 'end', test: 'TestConformance/A/part', result: 'failed' },
    { kind: 'end', test: 'TestConformance/A', result: 'failed' },
  ])
})

test('an error that another test interrupts stays whole', () => {
  const events = read(`^V=== NAME  T/A
^Oone
^V=== NAME  T/B
other
^V=== NAME  T/A
two^N`)
  expect(events).toContainEqual({ kind: 'error', test: 'T/A', text: 'one\ntwo' })
  expect(events).toContainEqual({ kind: 'log', test: 'T/B', text: 'other' })
})

test('an escaped control character is not a frame', () => {
  expect(read('^V=== RUN   T\n\u001b^Vword')).toContainEqual({ kind: 'log', test: 'T', text: '\u0016word' })
})
