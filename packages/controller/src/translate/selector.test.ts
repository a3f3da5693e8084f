import { expect, test } from 'vitest'
import { allowsNamespace, selects } from './selector.ts'

test.each([
  [{}, true],
  [{ matchLabels: { a: '1' } }, true],
  [{ matchLabels: { a: '2' } }, false],
  [{ matchExpressions: [{ key: 'a', operator: 'In', values: ['1', '2'] }] }, true],
  [{ matchExpressions: [{ key: 'b', operator: 'NotIn', values: ['1'] }] }, true],
  [{ matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['1'] }] }, false],
  [{ matchExpressions: [{ key: 'a', operator: 'Exists' }] }, true],
  [{ matchExpressions: [{ key: 'a', operator: 'DoesNotExist' }] }, false],
  [{ matchExpressions: [{ key: 'a', operator: 'Unheard' }] }, false],
  [{ matchExpressions: [{ key: 'constructor', operator: 'Exists' }] }, false],
])('%j', (selector, expected) => {
  expect(selects(selector, { a: '1' })).toBe(expected)
})

test('the default is the Gateway’s own namespace, and a selector without labels admits nobody by mistake', () => {
  expect(allowsNamespace(undefined, 'a', 'a', {})).toBe(true)
  expect(allowsNamespace(undefined, 'a', 'b', {})).toBe(false)
  expect(allowsNamespace({ from: 'Selector' }, 'a', 'b', {})).toBe(false)
  expect(allowsNamespace({ from: 'Selector', selector: null } as never, 'a', 'b', {})).toBe(false)
  expect(allowsNamespace({ from: 'Unheard' }, 'a', 'a', {})).toBe(false)
})
