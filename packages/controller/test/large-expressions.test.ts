// Regular expressions that a CRD's schema lets through, of routes that anybody with a namespace may write: what their repeats make of
// them must not keep the controller busy, which translates everybody's objects.
import { RE2JS } from 're2js'
import { expect, test, vi } from 'vitest'
import { defaultSettings } from '../src/model/index.ts'
import { translate } from '../src/translate/index.ts'
import { classes, objectsOf, snapshotOf } from './snapshot.ts'

const world = `
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop, generation: 1 }
spec: { gatewayClassName: wishbone, listeners: [{ name: http, port: 80, protocol: HTTP }] }
`

function translated(...rules: readonly (readonly string[])[]) {
  const matches = (expressions: readonly string[]) =>
    expressions.map((value) => ({ headers: [{ type: 'RegularExpression', name: 'x', value }] }))
  const route = {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'r', namespace: 'shop', generation: 1 },
    spec: { parentRefs: [{ name: 'edge' }], rules: rules.map((one) => ({ matches: matches(one) })) },
  }
  const began = performance.now()
  const { mesh, statuses } = translate(snapshotOf([...classes, ...objectsOf(world), route]), defaultSettings)
  const conditions = statuses.find(({ kind }) => kind === 'HTTPRoute')?.parents?.[0]?.conditions ?? []
  return {
    ms: performance.now() - began,
    rules: [...mesh.routes.keys()],
    message: conditions.find(({ reason }) => reason === 'UnsupportedValue')?.message,
  }
}

test('an expression that repeats without measure costs its rule, and no time', () => {
  // Different ones, of 4,000 characters each.
  const large = Array.from({ length: 8 }, (_, index) => `${index}${'[a-z]{0,1000}'.repeat(300)}`)
  const found = translated(['/[a-z]{1,253}'], ...large.map((one) => [one]))
  expect(found.rules).toEqual(['HTTPRoute/shop/r/0'])
  expect(found.message).toContain('rule 1: the regular expression "0[a-z]{0,1000}')
  expect(found.message).toContain('is too large: ')
  expect(found.ms).toBeLessThan(1_000)
})

test('so do many together that none alone would', () => {
  const many = Array.from({ length: 64 }, (_, index) => `${index}[a-z]{1000}`)
  const found = translated(many.slice(0, 30), many)
  expect(found.rules).toEqual(['HTTPRoute/shop/r/0'])
  expect(found.message).toContain('rule 1: its regular expressions are too large together')
})

test('one that is as large as may be is compiled once, and not each time that anything changes', () => {
  const compile = vi.spyOn(RE2JS, 'compile')
  const rules = [[`once${'[a-z]{0,1000}'.repeat(4)}`, 'once|'], ['once(']]
  for (let i = 0; i < 3; i++) {
    const found = translated(...rules)
    expect(found.rules).toEqual(['HTTPRoute/shop/r/0'])
    expect(found.message).toContain('rule 1: "once(" is no regular expression in RE2 syntax: ')
  }
  expect(compile).toHaveBeenCalledTimes(3)
  compile.mockRestore()
})
