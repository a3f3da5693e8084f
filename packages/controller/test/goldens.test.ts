// Golden translations: input objects, then "# --- expect ---", then what they become. The first
// comment lines may say `# show: <sections>`, `# now: <RFC 3339>`, `# settings: <JSON>` and `# blocked: <JSON>`. UPDATE=1 rewrites.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encode } from '../src/encode/index.ts'
import type { KubeObject } from '../src/kinds/index.ts'
import { defaultSettings, type Obstacle, type Settings, type Snapshot } from '../src/model/index.ts'
import { RouteMemory, translate } from '../src/translate/index.ts'
import { render, type Section } from './render.ts'
import { classes, objectsOf, snapshotOf } from './snapshot.ts'

const folder = join(import.meta.dirname, 'goldens')
const cases = readdirSync(folder)
  .filter((name) => name.endsWith('.yaml'))
  .sort()

interface Golden {
  readonly input: string
  readonly expected: string
  readonly shown: readonly Section[]
  readonly snapshot: Snapshot
  readonly settings: Settings
}

function read(name: string): Golden {
  const text = readFileSync(join(folder, name), 'utf8')
  const [input = '', expected = ''] = text.split('# --- expect ---\n')
  const header = (key: string) => new RegExp(`^# ${key}: (.*)$`, 'm').exec(input)?.[1]
  const blocked = Object.entries(JSON.parse(header('blocked') ?? '{}') as Record<string, Obstacle>)
  const now = Date.parse(header('now') ?? '2030-01-01T00:00:00Z')
  return {
    input,
    expected,
    shown: (header('show') ?? 'statuses').split(/,\s*/) as Section[],
    snapshot: { ...snapshotOf([...classes, ...objectsOf(input)], now), blocked: new Map(blocked) },
    settings: { ...defaultSettings, ...(JSON.parse(header('settings') ?? '{}') as Partial<Settings>) },
  }
}

describe('golden translations', () => {
  test.each(cases)('%s', (name) => {
    const { input, expected, shown, snapshot, settings } = read(name)
    const output = render(translate(snapshot, settings), shown)
    if (process.env['UPDATE']) {
      writeFileSync(join(folder, name), `${input}# --- expect ---\n${output}`)
    } else {
      expect(output).toBe(expected)
    }
  })
})

describe('for every golden input', () => {
  const goldens = cases.map((name) => read(name))

  test('the order of the input does not matter', { timeout: 60_000 }, () => {
    const permuted = fc.constantFrom(...goldens).chain(({ snapshot }) => {
      const lists = Object.entries(snapshot).map(([name, value]) =>
        Array.isArray(value)
          ? fc.shuffledSubarray(value, { minLength: value.length }).map((list) => [name, list] as const)
          : fc.constant([name, value] as const),
      )
      const shuffled = fc.tuple(...lists).map((entries) => Object.fromEntries(entries) as unknown as Snapshot)
      return shuffled.map((other) => [snapshot, other] as const)
    })
    fc.assert(
      fc.property(permuted, ([one, other]) => {
        expect(translate(other, defaultSettings)).toEqual(translate(one, defaultSettings))
        expect(versions(other)).toEqual(versions(one))
      }),
      { numRuns: 100 },
    )
  })

  test('a memory of earlier translations changes no result', { timeout: 60_000 }, () => {
    const walk = fc.constantFrom(...goldens).chain(({ snapshot, settings }) => {
      const lists = Object.entries(snapshot).filter(([, value]) => Array.isArray(value) && value.length > 0)
      const step = fc.record({
        list: fc.constantFrom(...lists),
        index: fc.nat(),
        what: fc.constantFrom('gone', 'newer'),
      })
      return fc.array(step, { maxLength: 6 }).map((steps) => ({ snapshot, settings, steps }))
    })
    fc.assert(
      fc.property(walk, ({ snapshot, settings, steps }) => {
        const memory = new RouteMemory()
        let now = snapshot
        const check = () => {
          const remembered = translate(now, settings, memory)
          const afresh = translate(now, settings)
          expect(remembered).toEqual(afresh)
          expect(encode(remembered.mesh)).toEqual(encode(afresh.mesh))
        }
        check()
        for (const {
          list: [name],
          index,
          what,
        } of steps) {
          const objects = now[name as 'httpRoutes'] as unknown as readonly KubeObject[]
          if (objects.length === 0) continue
          const at = index % objects.length
          const { metadata } = objects[at]!
          const newer = { ...objects[at]!, metadata: { ...metadata, generation: (metadata.generation ?? 0) + 1 } }
          now = { ...now, [name]: what === 'gone' ? objects.toSpliced(at, 1) : objects.with(at, newer) }
          check()
        }
      }),
      { numRuns: 300 },
    )
  })

  test('a changed route is translated, the others are remembered', () => {
    const { snapshot, settings } = goldens.find((golden) => golden.snapshot.httpRoutes.length > 1)!
    const memory = new RouteMemory()
    const before = translate(snapshot, settings, memory).mesh.routes
    const [first, ...others] = snapshot.httpRoutes
    const edited = { ...first!, metadata: { ...first!.metadata, generation: 99 } }
    const after = translate({ ...snapshot, httpRoutes: [edited, ...others] }, settings, memory).mesh.routes
    const kept = [...after].filter(([name, message]) => before.get(name) === message).map(([name]) => name)
    const ofFirst = `HTTPRoute/${first!.metadata.namespace}/${first!.metadata.name}/`
    expect(kept.length).toBeGreaterThan(0)
    expect(kept.toSorted()).toEqual([...after.keys()].filter((name) => !name.startsWith(ofFirst)).toSorted())
    const elsewhere = translate({ ...snapshot, services: [...snapshot.services] }, settings, memory).mesh.routes
    expect([...elsewhere].every(([name, message]) => before.get(name) !== message)).toBe(true)
  })

  test('no input is changed', () => {
    for (const { snapshot } of goldens) translate(deepFreeze(structuredClone(snapshot)), defaultSettings)
  })

  test('any object may be missing: nothing throws', { timeout: 60_000 }, () => {
    for (const { snapshot } of goldens) {
      for (const [name, value] of Object.entries(snapshot)) {
        if (!Array.isArray(value)) continue
        for (let index = 0; index < value.length; index++) {
          encode(translate({ ...snapshot, [name]: value.toSpliced(index, 1) }, defaultSettings).mesh)
        }
      }
    }
  })

  test('a field of a wrong type breaks nothing', () => {
    const wrong = fc.constantFrom(null, 0, -1, '', 'x', [], {}, [null], [0], ['x'], [{}], true)
    const mutated = fc.constantFrom(...goldens).chain(({ snapshot }) => {
      const lists = Object.entries(snapshot).filter(([, value]) => Array.isArray(value) && value.length > 0)
      return fc
        .tuple(fc.constantFrom(...lists), fc.nat(), fc.array(fc.nat(), { minLength: 1, maxLength: 8 }), wrong)
        .map(([[name, list], index, path, value]) => {
          const copy = structuredClone(list) as Record<string, unknown>[]
          const object = copy[index % copy.length]!
          replaceAt(object, path, value)
          return { ...snapshot, [name]: copy } as Snapshot
        })
    })
    fc.assert(
      fc.property(mutated, (snapshot) => {
        encode(translate(snapshot, defaultSettings).mesh)
      }),
      { numRuns: 1000 },
    )
  }, 60_000)

  test('an object without a spec breaks no other', () => {
    for (const { snapshot } of goldens) {
      const whole = translate(snapshot, defaultSettings).mesh.workloads.size
      for (const [name, value] of Object.entries(snapshot)) {
        if (!Array.isArray(value)) continue
        const broken = {
          apiVersion: 'v1',
          kind: value[0]?.kind ?? 'Broken',
          metadata: { name: 'broken', namespace: 'x' },
        }
        const mesh = translate({ ...snapshot, [name]: [...value, broken] } as Snapshot, defaultSettings).mesh
        expect(mesh.workloads.size).toBe(whole)
      }
    }
  })
})

/** Walks down by the numbers, below spec, status or data, and replaces what is there. */
function replaceAt(object: Record<string, unknown>, path: readonly number[], value: unknown): void {
  const roots = ['spec', 'status', 'data', 'endpoints', 'ports'].filter((key) => key in object)
  if (roots.length === 0) return
  let at: Record<string, unknown> = object
  let key = roots[path[0]! % roots.length]!
  for (const step of path.slice(1)) {
    const next = at[key]
    if (next === null || typeof next !== 'object' || Object.keys(next).length === 0) break
    at = next as Record<string, unknown>
    key = Object.keys(next)[step % Object.keys(next).length]!
  }
  at[key] = value
}

function versions(snapshot: Snapshot) {
  const { ztunnel, gateway } = encode(translate(snapshot, defaultSettings).mesh)
  return [ztunnel, gateway].map((resources) =>
    [...resources].map(([type, all]) => [type, [...all].map(([name, { version }]) => `${name} ${version}`).sort()]),
  )
}

function deepFreeze<T>(value: T): T {
  if (value !== null && typeof value === 'object' && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const member of Object.values(value)) deepFreeze(member)
  }
  return value
}
