import { identity, readText } from '@wishbone/runtime/manifests'
import { describe, expect, test } from 'vitest'
import type { ApiClient } from '../client/api.ts'
import { Applier, planChanges } from './apply.ts'

const map = (name: string, data = 'x'): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name} }\ndata: { a: ${data} }\n`

describe('planChanges', () => {
  const before = {
    applied: new Map(
      readText(`${map('one')}---\n${map('two')}`, 'a.yaml').objects.map((loaded) => [identity(loaded.object), loaded]),
    ),
  }
  test('only what changed is applied, what is gone is deleted', () => {
    const now = readText(map('one', 'new'), 'a.yaml').objects
    const plan = planChanges(before, now, new Set())
    expect(plan.apply.map((loaded) => loaded.object.metadata.name)).toEqual(['one'])
    expect(plan.remove.map((loaded) => loaded.object.metadata.name)).toEqual(['two'])
  })
  test('of a file that was written again everything is applied', () => {
    const now = readText(`${map('one')}---\n${map('two')}`, 'a.yaml').objects
    expect(planChanges(before, now, new Set()).apply).toEqual([])
    expect(planChanges(before, now, new Set(), new Set(['a.yaml'])).apply).toHaveLength(2)
  })
  test('a file with a mistake keeps its earlier objects', () => {
    expect(planChanges(before, [], new Set(['a.yaml'])).remove).toEqual([])
  })
})

test('a field has its own line; a missing one that of the field above', () => {
  const text = '# c\napiVersion: v1\nkind: Service\nmetadata:\n  name: s\nspec:\n  ports:\n  - port: 80\n  - port: x\n'
  const lineOf = readText(text, 'a.yaml').objects[0]?.lineOf
  expect(
    ['spec.ports[1].port', 'spec.ports[1].prot', 'spec.nothing', 'metadata.name', 'data.x'].map((path) =>
      lineOf?.(path),
    ),
  ).toEqual([9, 9, 6, 5, 2])
})

test('a folder of thousands of objects is applied a few at a time', async () => {
  let [open, most, applied] = [0, 0, 0]
  const kube = {
    get: async () => ({ resources: [{ name: 'configmaps', kind: 'ConfigMap', namespaced: true }] }),
    request: async () => {
      most = Math.max(most, ++open)
      await new Promise(setImmediate)
      open--
      applied++
    },
  }
  const { objects } = readText(Array.from({ length: 3_000 }, (_, index) => map(`m${index}`)).join('---\n'), 'a.yaml')
  expect(await new Applier({ kube } as unknown as ApiClient).apply(objects, 'test')).toEqual([])
  expect(applied).toBe(3_000)
  expect(most).toBeLessThanOrEqual(16)
})
