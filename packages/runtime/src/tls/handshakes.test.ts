import { MeshError } from '@wishbone/core/errors'
import { expect, test } from 'vitest'
import { Handshakes } from './handshakes.ts'

const never = () => new Promise<never>(() => undefined)

test('too many at once: the oldest is given up, and new ones are still served', async () => {
  const handshakes = new Handshakes({ limit: 2 })
  const signals: AbortSignal[] = []
  const silent = (signal: AbortSignal) => {
    signals.push(signal)
    return never()
  }
  const oldest = handshakes.run(silent)
  const other = handshakes.run(silent)
  const honest = handshakes.run(() => Promise.resolve('done'))
  await expect(oldest).rejects.toMatchObject({ code: 'overloaded' })
  expect(await honest).toBe('done')
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, false])
  handshakes.close(new MeshError('draining', 'the pod is gone'))
  await expect(other).rejects.toMatchObject({ code: 'draining' })
  await expect(handshakes.run(silent)).rejects.toMatchObject({ code: 'draining' })
})

test('one after the other are any number', async () => {
  const handshakes = new Handshakes({ limit: 2 })
  const waiting = handshakes.run(never)
  for (let i = 0; i < 10; i++) await handshakes.run(() => Promise.resolve())
  handshakes.close(new MeshError('draining', 'the pod is gone'))
  await expect(waiting).rejects.toMatchObject({ code: 'draining' })
})

test('one that takes too long is given up, whatever it waits for', async () => {
  await expect(new Handshakes({ timeoutMs: 10 }).run(never)).rejects.toMatchObject({ code: 'tls-failure' })
})

test('one that fails has its own reason', async () => {
  const failing = () => Promise.reject(new MeshError('identity-mismatch', 'nobody'))
  await expect(new Handshakes().run(failing)).rejects.toMatchObject({ code: 'identity-mismatch' })
})
