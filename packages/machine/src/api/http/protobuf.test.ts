import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readProtobuf } from './protobuf.ts'

const field = (number: number, value: Buffer | string): Buffer => {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes])
}
const int = (number: number, value: number): Buffer => Buffer.from([number << 3, value])
const body = (apiVersion: string, kind: string, ...parts: readonly Buffer[]): Buffer =>
  Buffer.concat([
    Buffer.from('k8s\0'),
    field(1, Buffer.concat([field(1, apiVersion), field(2, kind)])),
    field(2, Buffer.concat(parts)),
  ])

test('reads an object with maps, lists and numbers', () => {
  const label = Buffer.concat([field(1, 'a'), field(2, 'b')])
  expect(
    readProtobuf(
      body(
        'v1',
        'ConfigMap',
        field(1, Buffer.concat([field(1, 'm'), field(3, ''), field(8, ''), field(11, label)])),
        field(2, label),
      ),
    ),
  ).toEqual({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'm', labels: { a: 'b' } },
    data: { a: 'b' },
  })
  const spec = Buffer.concat([field(1, 'x'), field(1, 'y'), int(4, 100)])
  expect(readProtobuf(body('authentication.k8s.io/v1', 'TokenRequest', field(2, spec)))).toMatchObject({
    spec: { audiences: ['x', 'y'], expirationSeconds: 100 },
  })
  const secret = readProtobuf(
    body('v1', 'Secret', field(2, Buffer.concat([field(1, 'k'), field(2, Buffer.from([0, 255]))]))),
  )
  expect(secret.data).toEqual({ k: 'AP8=' })
})

test('a field or kind that is not known is refused, not dropped', () => {
  expect(() => readProtobuf(body('v1', 'Pod'))).toThrow(/kubectl apply -f/)
  expect(() => readProtobuf(body('v1', 'ConfigMap', field(9, 'x')))).toThrow(/field 9 of ConfigMap/)
})

test('anything else is a client error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        readProtobuf(Buffer.concat([Buffer.from('k8s\0'), bytes]))
      } catch (cause) {
        expect([400, 415]).toContain((cause as { code?: number }).code)
      }
    }),
  )
})
