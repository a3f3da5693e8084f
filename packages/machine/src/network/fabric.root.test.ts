// The networks as they are: pods reach each other over two nodes, Services are balanced, a pod reaches itself through its Service.
// Runs in a network namespace of its own, which vitest's worker makes by re-executing this file's body under unshare.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = process.getuid?.() === 0
const flags = root ? ['--net', '--mount'] : ['--user', '--map-root-user', '--net', '--mount']

test.each(['ipv4', 'dual', 'ipv6'] as const)('%s: pods, nodes, Services and hairpins reach each other', (families) => {
  const body = fileURLToPath(new URL('./fabric.check.ts', import.meta.url))
  const done = spawnSync(
    'unshare',
    [...flags, process.execPath, '--disable-warning=ExperimentalWarning', body, families],
    { encoding: 'utf8' },
  )
  expect(done.stderr).toBe('')
  expect(JSON.parse(done.stdout)).toEqual({
    podToPod: true,
    nodeToPod: true,
    fabricToPod: true,
    podToFabric: true,
    service: ['a', 'b'],
    hairpin: ['a', 'b'],
    loadBalancer: ['a', 'b'],
  })
})
