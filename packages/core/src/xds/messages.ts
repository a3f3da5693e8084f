// Between the words of this folder and the generated messages of the stream.
import { create } from '@bufbuild/protobuf'
import { discovery, status } from '@wishbone/proto'
import type { DeltaRequest, DeltaResponse } from './types.ts'

/** What a request says. A NACK is told by the presence of error_detail: its code may be 0. */
export function readRequest(message: discovery.DeltaDiscoveryRequest): DeltaRequest {
  const { errorDetail } = message
  return {
    typeUrl: message.typeUrl,
    subscribe: message.resourceNamesSubscribe,
    unsubscribe: message.resourceNamesUnsubscribe,
    initialVersions: new Map(Object.entries(message.initialResourceVersions)),
    nonce: message.responseNonce,
    ...(errorDetail === undefined ? {} : { error: errorDetail.message }),
  }
}

/** The message of a request; `node` goes with the first request of each type only. */
export function writeRequest(request: DeltaRequest, node?: discovery.Node): discovery.DeltaDiscoveryRequest {
  const message = create(discovery.DeltaDiscoveryRequestSchema, {
    typeUrl: request.typeUrl,
    resourceNamesSubscribe: [...request.subscribe],
    resourceNamesUnsubscribe: [...request.unsubscribe],
    initialResourceVersions: Object.fromEntries(request.initialVersions),
    responseNonce: request.nonce,
  })
  if (node !== undefined) message.node = node
  if (request.error !== undefined) message.errorDetail = create(status.StatusSchema, { message: request.error })
  return message
}

/** The message of a response; the resources' bytes are not copied. */
export function writeResponse({ typeUrl, nonce, resources, removed }: DeltaResponse): discovery.DeltaDiscoveryResponse {
  return create(discovery.DeltaDiscoveryResponseSchema, {
    typeUrl,
    nonce,
    removedResources: [...removed],
    resources: resources.map(({ name, resource }) =>
      create(discovery.ResourceSchema, {
        name,
        version: resource.version,
        aliases: [...resource.aliases],
        resource: { typeUrl, value: resource.bytes },
      }),
    ),
  })
}
