// Bodies of requests: JSON or YAML, limited in size.
import type { IncomingMessage } from 'node:http'
import { parse } from 'yaml'
import { ApiError, badRequest, unsupportedMediaType } from '../objects/errors.ts'
import type { PatchKind } from '../objects/options.ts'
import { readProtobuf } from './protobuf.ts'

/** Kubernetes' own limit is 3 MiB. */
const limitBytes = 3 * 1024 * 1024

export async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += (chunk as Buffer).length
    if (size > limitBytes)
      throw new ApiError(413, 'RequestEntityTooLarge', `the body of the request is larger than ${limitBytes} bytes`)
    chunks.push(chunk as Buffer)
  }
  if (size === 0) return undefined
  const type = request.headers['content-type'] ?? 'application/json'
  if (type.includes('protobuf')) return readProtobuf(Buffer.concat(chunks))
  const text = Buffer.concat(chunks).toString('utf8')
  try {
    // Apply patches are YAML, and mostly JSON in fact.
    return type.includes('yaml') && !/^\s*[{[]/.test(text) ? parse(text) : JSON.parse(text)
  } catch (cause) {
    throw badRequest(`the body of the request could not be read: ${(cause as Error).message}`)
  }
}

export function patchKindOf(request: IncomingMessage): PatchKind {
  const type = (request.headers['content-type'] ?? '').split(';')[0]!.trim()
  switch (type) {
    case 'application/json-patch+json':
      return 'json'
    case 'application/merge-patch+json':
      return 'merge'
    case 'application/strategic-merge-patch+json':
      return 'strategic'
    case 'application/apply-patch+yaml':
    case 'application/apply-patch+cbor':
      return 'apply'
    default:
      throw unsupportedMediaType(type)
  }
}
