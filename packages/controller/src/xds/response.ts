// A response of the configuration stream as bytes (ambient wire §2.2).
import { create, toBinary } from '@bufbuild/protobuf'
import { AnySchema } from '@bufbuild/protobuf/wkt'
import type { DeltaResponse, NamedResource, VersionedResource } from '@wishbone/core/xds'
import { discovery } from '@wishbone/proto'

/** Field 2, wire type 2. */
const resourcesTag = 0x12

/** The response as bytes. Each resource is encoded once and its bytes are shared by all clients. */
export function responseBytes(response: DeltaResponse): Uint8Array {
  const { typeUrl, nonce, resources, removed } = response
  const head = toBinary(
    discovery.DeltaDiscoveryResponseSchema,
    create(discovery.DeltaDiscoveryResponseSchema, { typeUrl, nonce, removedResources: [...removed] }),
  )
  // The fields of a message may come in any order, so its parts can simply follow each other.
  const parts: Uint8Array[] = [head]
  for (const resource of resources) {
    const bytes = resourceBytes(typeUrl, resource)
    parts.push(lengthPrefix(bytes.length), bytes)
  }
  return Buffer.concat(parts)
}

const encoded = new WeakMap<VersionedResource, Uint8Array>()

function resourceBytes(typeUrl: string, { name, resource }: NamedResource): Uint8Array {
  let bytes = encoded.get(resource)
  if (bytes === undefined) {
    const message = create(discovery.ResourceSchema, {
      name,
      version: resource.version,
      aliases: [...resource.aliases],
      resource: create(AnySchema, { typeUrl, value: resource.bytes }),
    })
    bytes = toBinary(discovery.ResourceSchema, message)
    encoded.set(resource, bytes)
  }
  return bytes
}

function lengthPrefix(length: number): Uint8Array {
  const bytes = [resourcesTag]
  let rest = length
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128)
  bytes.push(rest)
  return Uint8Array.from(bytes)
}
