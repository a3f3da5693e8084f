// How answers are written: objects, lists, Status errors, in the form (object, table, metadata only) that the client asked for.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { ApiError } from '../objects/errors.ts'
import type { JsonMap, KubeObject } from '../objects/object.ts'
import { apiVersionOf, type Resource } from '../objects/resources.ts'
import { tableOf } from './table.ts'

export type Form = 'object' | 'table' | 'metadata'

/** The first form in the Accept header that is served here. */
export function formOf(request: IncomingMessage): Form {
  for (const part of (request.headers.accept ?? '').split(',')) {
    if (!part.includes('json')) continue
    if (/;\s*as=Table\b/.test(part) && /v=v1\b/.test(part)) return 'table'
    if (/;\s*as=PartialObjectMetadata/.test(part)) return 'metadata'
    return 'object'
  }
  return 'object'
}

const serialized = new WeakMap<KubeObject, string>()

/** JSON of a stored object, made once per version of it. */
export function jsonOf(object: KubeObject): string {
  let text = serialized.get(object)
  if (text === undefined) {
    text = JSON.stringify(object)
    if (Object.isFrozen(object)) serialized.set(object, text)
  }
  return text
}

export function metadataOnly(object: KubeObject): JsonMap {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata }
}

export interface Answer {
  readonly response: ServerResponse
  readonly form: Form
  readonly include: 'Metadata' | 'Object' | 'None'
  readonly warnings: readonly string[]
}

export function sendText(
  answer: { readonly response: ServerResponse; readonly warnings?: readonly string[] },
  code: number,
  text: string,
  type = 'application/json',
): void {
  const { response } = answer
  if (response.headersSent) return
  const body = Buffer.from(text)
  const warnings: string[] = (answer.warnings ?? []).map(
    (line) => `299 - ${JSON.stringify(line.replace(/[^\x20-\x7e]/g, '?'))}`,
  )
  if (warnings.length > 0) response.setHeader('Warning', warnings)
  response.writeHead(code, {
    'content-type': type,
    'content-length': body.length,
    'cache-control': 'no-cache, private',
  })
  response.end(body)
}

export function sendJson(
  answer: { readonly response: ServerResponse; readonly warnings?: readonly string[] },
  code: number,
  value: unknown,
): void {
  sendText(answer, code, JSON.stringify(value))
}

export function sendObject(answer: Answer, code: number, resource: Resource, object: KubeObject): void {
  if (answer.form === 'table')
    sendJson(
      answer,
      code,
      tableOf(
        resource,
        [object],
        { resourceVersion: object.metadata.resourceVersion },
        { include: answer.include, withColumns: true },
      ),
    )
  else if (answer.form === 'metadata') sendJson(answer, code, metadataOnly(object))
  else sendText(answer, code, jsonOf(object))
}

export function sendList(
  answer: Answer,
  resource: Resource,
  items: readonly KubeObject[],
  listMetadata: JsonMap,
): void {
  if (answer.form === 'table') {
    sendJson(answer, 200, tableOf(resource, items, listMetadata, { include: answer.include, withColumns: true }))
  } else if (answer.form === 'metadata') {
    sendJson(answer, 200, {
      kind: 'PartialObjectMetadataList',
      apiVersion: 'meta.k8s.io/v1',
      metadata: listMetadata,
      items: items.map(metadataOnly),
    })
  } else {
    const head = JSON.stringify({
      kind: `${resource.kind}List`,
      apiVersion: apiVersionOf(resource),
      metadata: listMetadata,
    })
    sendText(answer, 200, `${head.slice(0, -1)},"items":[${items.map(jsonOf).join(',')}]}`)
  }
}

/** Any failure as a Status. Only unexpected ones are logged, by the caller's `log`. */
export function sendError(
  answer: { readonly response: ServerResponse; readonly warnings?: readonly string[] },
  cause: unknown,
  log: (line: string) => void,
): void {
  const error = toApiError(cause, log)
  sendJson(answer, error.code, error.status())
}

export function toApiError(cause: unknown, log: (line: string) => void): ApiError {
  if (cause instanceof ApiError) return cause
  const { status } = cause as { status?: unknown }
  const message = cause instanceof Error ? cause.message : String(cause)
  if (typeof status === 'number') return new ApiError(status, status === 404 ? 'NotFound' : 'BadRequest', message)
  log(`API: unexpected failure: ${cause instanceof Error ? cause.stack : message}`)
  return new ApiError(500, 'InternalError', `Internal error occurred: ${message}`)
}
