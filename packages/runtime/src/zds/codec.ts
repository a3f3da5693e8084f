// ZDS packets: one protobuf message each. Packets to ztunnel must fit its receive buffer of 1024 bytes (ambient wire §3.4).
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { zds } from '@wishbone/proto'

const requestLimit = 1024

export type RequestPayload = NonNullable<MessageInitShape<typeof zds.WorkloadRequestSchema>['payload']>

/** @throws Error if the message is longer than ztunnel can receive */
export function encodeRequest(payload: RequestPayload): Buffer {
  const bytes = Buffer.from(toBinary(zds.WorkloadRequestSchema, create(zds.WorkloadRequestSchema, { payload })))
  if (bytes.length > requestLimit) {
    throw new Error(
      `the ZDS message "${payload.case}" has ${bytes.length} bytes, more than the ${requestLimit} allowed`,
    )
  }
  return bytes
}

export function decodeRequest(bytes: Uint8Array): zds.WorkloadRequest {
  return fromBinary(zds.WorkloadRequestSchema, bytes)
}

export function encodeAck(error: string): Buffer {
  const ack = create(zds.WorkloadResponseSchema, { payload: { case: 'ack', value: { error } } })
  return Buffer.from(toBinary(zds.WorkloadResponseSchema, ack))
}

/** The error of an Ack, '' for none. @throws Error if the packet is something else */
export function decodeAck(bytes: Uint8Array): string {
  const response = fromBinary(zds.WorkloadResponseSchema, bytes)
  if (response.payload.case !== 'ack') throw new Error('expected an Ack')
  return response.payload.value.error
}

export function encodeHello(): Buffer {
  return Buffer.from(toBinary(zds.ZdsHelloSchema, create(zds.ZdsHelloSchema, { version: zds.Version.V1 })))
}

/** @throws Error if the version is not V1 */
export function checkHello(bytes: Uint8Array): void {
  const hello = fromBinary(zds.ZdsHelloSchema, bytes)
  if (hello.version !== zds.Version.V1) throw new Error(`the ZDS version ${hello.version} is not known`)
}
