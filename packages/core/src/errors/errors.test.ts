import { expect, test } from 'vitest'
import { errorTable, MeshError, meshErrorCodes } from './index.ts'

test('a foreign error is wrapped once and keeps its message', () => {
  const error = MeshError.from(new Error('ECONNREFUSED'), 'connect-failed', {
    at: 'upstream',
    hint: 'is it listening?',
  })
  expect(MeshError.from(error, 'internal')).toBe(error)
  expect(error).toMatchObject({ code: 'connect-failed', at: 'upstream', retry: 'no', message: 'ECONNREFUSED' })
  expect(error.describe()).toBe('ECONNREFUSED (is it listening?)')
})

test('a description has every cause that says something new', () => {
  const inner = new Error('certificate has expired')
  const error = new MeshError('tls-failure', 'no connection to 10.0.0.1:15008', {
    cause: new Error('handshake', { cause: inner }),
  })
  expect(error.describe()).toBe('no connection to 10.0.0.1:15008: handshake: certificate has expired')
})

test('anything can be thrown', () => {
  for (const cause of [undefined, null, '', 'text', 1, {}]) expect(MeshError.from(cause).message).not.toBe('')
})

test('every reason has valid statuses', () => {
  for (const code of meshErrorCodes) {
    const entry = errorTable[code]
    expect(entry.httpStatus).toBeGreaterThanOrEqual(400)
    expect(entry.hboneStatus).toBeGreaterThanOrEqual(400)
    expect(entry.grpcStatus).toBeGreaterThan(0)
    expect(entry.title).not.toBe('')
  }
})
