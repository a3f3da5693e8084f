// A DeltaDiscoveryResponse whose resources are not decoded yet: thousands of them would take one turn of the event loop.
import { fromBinary } from '@bufbuild/protobuf'
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { discovery } from '@wishbone/proto'
import type { AdsResource } from './types.ts'

export interface ResponseEnvelope {
  readonly typeUrl: string
  readonly nonce: string
  readonly removed: readonly string[]
  /** Each one an encoded Resource. */
  readonly resources: readonly Uint8Array[]
}

/** Reads the fields of the message itself. @throws Error for what is no protobuf message */
export function readEnvelope(bytes: Uint8Array): ResponseEnvelope {
  const reader = new BinaryReader(bytes)
  const removed: string[] = []
  const resources: Uint8Array[] = []
  let typeUrl = ''
  let nonce = ''
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag()
    const { name } = fields.get(field) ?? {}
    if (wireType !== WireType.LengthDelimited) reader.skip(wireType, field)
    else if (name === 'resources') resources.push(reader.bytes())
    else if (name === 'type_url') typeUrl = reader.string()
    else if (name === 'nonce') nonce = reader.string()
    else if (name === 'removed_resources') removed.push(reader.string())
    else reader.skip(wireType, field)
  }
  return { typeUrl, nonce, removed, resources }
}

const fields = new Map(discovery.DeltaDiscoveryResponseSchema.fields.map((field) => [field.number, field]))

/** One of its resources. @throws Error for what is none */
export function readResource(bytes: Uint8Array): AdsResource {
  const { name, version, aliases, resource } = fromBinary(discovery.ResourceSchema, bytes)
  return { name, version, aliases, bytes: resource?.value ?? new Uint8Array() }
}
