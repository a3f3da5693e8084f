import { expect, test } from 'vitest'
import { matchesFields, matchesLabels, parseFieldSelector, parseLabelSelector, selectsLabels } from './selectors.ts'

const labels = { app: 'web', tier: 'front' }

test.each([
  ['', true],
  ['app=web', true],
  ['app==web,tier!=back', true],
  ['app', true],
  ['!app', false],
  ['!other', true],
  ['app in (web, api),tier notin (back)', true],
  ['app in (api)', false],
  ['other notin (x)', true],
  ['other!=x', true],
  ['tier=front,app=api', false],
])('label selector %j: %s', (text, expected) => {
  expect(matchesLabels(parseLabelSelector(text), labels)).toBe(expected)
})

test('refuses a label selector that is none', () => {
  expect(() => parseLabelSelector('a=b=c d')).toThrow(/unable to parse/)
})

test('a missing selector object selects nothing, an empty one everything', () => {
  expect(selectsLabels(undefined, labels)).toBe(false)
  expect(selectsLabels({}, labels)).toBe(true)
  expect(selectsLabels({ matchExpressions: [{ key: 'app', operator: 'Exists' }] }, labels)).toBe(true)
  expect(
    selectsLabels(
      { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'tier', operator: 'In', values: ['x'] }] },
      labels,
    ),
  ).toBe(false)
})

test('field selectors read any path; absent is empty', () => {
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', namespace: 'n' }, spec: { nodeName: 'node1' } }
  const matches = (text: string): boolean => matchesFields(parseFieldSelector(text), pod)
  expect(matches('spec.nodeName=node1,metadata.name=a')).toBe(true)
  expect(matches('status.phase!=Running')).toBe(true)
  expect(matches('metadata.name!=a')).toBe(false)
})
