import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { binaries, stampOf } from './binaries.ts'
import { kubernetesVersion } from './settings.ts'

const modules = join(import.meta.dirname, 'modules')

test('every binary comes from a module whose versions are pinned', () => {
  expect(new Set(binaries.map(({ name }) => name)).size).toBe(binaries.length)
  for (const binary of binaries) {
    const pins = readFileSync(join(modules, binary.module, 'go.mod'), 'utf8')
    if (binary.package === '.') continue
    expect(pins).toMatch(new RegExp(`^(tool |\\t)${binary.package.replaceAll('.', '\\.')}$`, 'm'))
    expect(existsSync(join(modules, binary.module, 'go.sum'))).toBe(true)
  }
})

test('the version that Kubernetes reports is the one that is built', () => {
  expect(readFileSync(join(modules, 'kubernetes/go.mod'), 'utf8')).toMatch(`k8s.io/kubernetes ${kubernetesVersion}`)
  expect(binaries[0]?.values).toMatchObject({ 'k8s.io/component-base/version.gitMinor': '36' })
})

test('another version is another stamp', () => {
  const [first, second] = binaries
  expect(stampOf(first!, 'a')).toBe(stampOf(first!, 'a'))
  expect(new Set([stampOf(first!, 'a'), stampOf(first!, 'b'), stampOf(second!, 'a')]).size).toBe(3)
})
