import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { discovery } from '@wishbone/proto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readEnvelope, readResource } from './response.ts'

const anyResponse = fc
  .record({
    typeUrl: fc.string(),
    nonce: fc.string(),
    systemVersionInfo: fc.string(),
    removedResources: fc.array(fc.string()),
    resources: fc.array(
      fc.record({
        name: fc.string(),
        version: fc.string(),
        aliases: fc.array(fc.string()),
        resource: fc.record({ typeUrl: fc.string(), value: fc.uint8Array() }),
      }),
    ),
  })
  .map((init) => create(discovery.DeltaDiscoveryResponseSchema, init))

test('an envelope and its resources are what the message decodes to', () => {
  fc.assert(
    fc.property(anyResponse, (response) => {
      const bytes = toBinary(discovery.DeltaDiscoveryResponseSchema, response)
      const { typeUrl, nonce, removedResources, resources } = fromBinary(discovery.DeltaDiscoveryResponseSchema, bytes)
      const envelope = readEnvelope(bytes)
      expect(envelope).toMatchObject({ typeUrl, nonce, removed: removedResources })
      expect(envelope.resources.map(readResource)).toEqual(
        resources.map(({ name, version, aliases, resource }) => ({ name, version, aliases, bytes: resource!.value })),
      )
    }),
  )
})

test('fields of later versions are passed over, and what is no message throws nothing but errors', () => {
  const bytes = toBinary(
    discovery.DeltaDiscoveryResponseSchema,
    create(discovery.DeltaDiscoveryResponseSchema, { nonce: 'n' }),
  )
  // Field 100: a number, and a text.
  const later = new Uint8Array([0xa0, 0x06, 0x01, 0xa2, 0x06, 0x01, 0x78])
  expect(readEnvelope(new Uint8Array([...later, ...bytes])).nonce).toBe('n')
  fc.assert(
    fc.property(fc.uint8Array(), (garbage) => {
      try {
        readEnvelope(garbage).resources.map(readResource)
      } catch (cause) {
        expect(cause).toBeInstanceOf(Error)
      }
    }),
  )
})
