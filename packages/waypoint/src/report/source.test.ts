import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { parseBaggage } from '@wishbone/core/hbone'
import { expect, test } from 'vitest'
import type { Connection } from '../server/connection.ts'
import { sourceOf } from './source.ts'

test('of what a client says of itself only the names are kept, not the headers that they stood in', () => {
  setFlagsFromString('--expose_gc')
  const collect = runInNewContext('gc') as () => void
  const connect = (i: number) => {
    const header = Buffer.from(`k8s.deployment.name=a-name-long-enough-${i},`.padEnd(60_000, 'x')).toString('latin1')
    return sourceOf({ baggage: parseBaggage(header), peer: undefined } as unknown as Connection)
  }
  collect()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < 500; i++) expect(connect(i).workload).toBe(`a-name-long-enough-${i}`)
  collect()
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(10 << 20)
})
