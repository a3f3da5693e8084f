// Lists (selected, paged) and watches (from now, from a version, with initial events, bookmarks and transitions of selectors).
import type { ServerResponse } from 'node:http'
import type { Api } from '../objects/api.ts'
import { ApiError, badRequest, expired } from '../objects/errors.ts'
import { type JsonMap, type KubeObject, keyOf } from '../objects/object.ts'
import { apiVersionOf, type Resource } from '../objects/resources.ts'
import { atVersion } from '../objects/rules.ts'
import { matchesFields, matchesLabels, parseFieldSelector, parseLabelSelector } from '../objects/selectors.ts'
import type { StoreEvent } from '../objects/store.ts'
import { isTrue } from './request.ts'
import { type Answer, jsonOf, metadataOnly, sendList, toApiError } from './respond.ts'
import { tableOf } from './table.ts'

const bookmarkEveryMs = 10_000
/** A watcher that reads so slowly that this much is waiting is cut off; it lists again. */
const slowWatcherBytes = 16 * 1024 * 1024

export type Selects = (object: KubeObject) => boolean

export function selectorOf(query: URLSearchParams, name: string | undefined): Selects {
  const labels = parseLabelSelector(query.get('labelSelector') ?? '')
  const fields = parseFieldSelector(query.get('fieldSelector') ?? '')
  return (object) =>
    (name === undefined || object.metadata.name === name) &&
    matchesLabels(labels, object.metadata.labels) &&
    matchesFields(fields, object)
}

interface Continuation {
  readonly version: number
  readonly after: string
}

function readContinuation(token: string): Continuation {
  try {
    const { version, after } = JSON.parse(Buffer.from(token, 'base64url').toString()) as Continuation
    if (typeof version === 'number' && typeof after === 'string') return { version, after }
  } catch {
    // Reported below.
  }
  throw badRequest('continue key is not valid')
}

/** Answers a list. Pages are in the order of keys; a page asked for too late gets 410. */
export function answerList(
  api: Api,
  answer: Answer,
  resource: Resource,
  namespace: string | undefined,
  query: URLSearchParams,
): void {
  const selects = selectorOf(query, undefined)
  const limit = Number(query.get('limit') ?? 0)
  const token = query.get('continue') ?? ''
  const from = token === '' ? undefined : readContinuation(token)
  // Fails when changes since the first page can not be watched any more.
  if (from !== undefined) api.store.since(resource.key, from.version)
  const version = from?.version ?? api.store.version
  let items = api.store.list(resource.key, namespace).filter(selects)
  const metadata: JsonMap = { resourceVersion: String(version) }
  if (limit > 0 || from !== undefined) {
    items = [...items].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
    if (from !== undefined) items = items.filter((object) => keyOf(object) > from.after)
    if (limit > 0 && items.length > limit) {
      metadata.remainingItemCount = items.length - limit
      items = items.slice(0, limit)
      metadata.continue = Buffer.from(JSON.stringify({ version, after: keyOf(items.at(-1)!) })).toString('base64url')
    }
  } else if (answer.form === 'table') {
    items = [...items].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
  }
  sendList(
    answer,
    resource,
    items.map((object) => atVersion(object, resource)),
    metadata,
  )
}

export interface WatchTarget {
  readonly resource: Resource
  readonly namespace: string | undefined
  readonly name: string | undefined
}

/** Answers a watch; it ends with the client, at its timeout, or when the kind is not served any more. */
export function answerWatch(
  api: Api,
  answer: Answer,
  target: WatchTarget,
  query: URLSearchParams,
  log: (line: string) => void,
): void {
  const { resource, namespace, name } = target
  const { response } = answer
  const matches = selectorOf(query, name)
  const selects: Selects = (object) =>
    (namespace === undefined || object.metadata.namespace === namespace) && matches(object)
  const writer = createWriter(answer, resource)
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' })
  response.flushHeaders()

  const bookmarks = isTrue(query.get('allowWatchBookmarks'))
  const initial = isTrue(query.get('sendInitialEvents'))
  const asked = query.get('resourceVersion') ?? ''
  try {
    if (asked === '' || asked === '0' || initial) {
      for (const object of api.store.list(resource.key)) if (selects(object)) writer.write('ADDED', object)
      if (initial && bookmarks) writer.bookmark(api.store.version, true)
    } else {
      const version = Number(asked)
      if (!Number.isInteger(version)) throw badRequest(`invalid resource version ${JSON.stringify(asked)}`)
      if (version > api.store.version)
        throw expired(`too large resource version: ${version}, current: ${api.store.version}`)
      for (const event of api.store.since(resource.key, version)) writer.event(event, selects)
    }
  } catch (cause) {
    writer.error(cause, log)
    response.end()
    return
  }
  const unsubscribe = api.store.onChange(resource.key, (event) => {
    writer.event(event, selects)
    if (response.writableLength > slowWatcherBytes) response.destroy()
  })
  const timers = [setInterval(() => bookmarks && writer.bookmark(api.store.version, false), bookmarkEveryMs)]
  const seconds = Number(query.get('timeoutSeconds') ?? 0)
  if (seconds > 0) timers.push(setTimeout(() => response.end(), Math.min(seconds, 2 ** 21) * 1000))
  response.on('close', () => {
    unsubscribe()
    for (const timer of timers) clearTimeout(timer)
  })
}

function createWriter(answer: Answer, resource: Resource) {
  const { response } = answer
  let first = true
  const bodyOf = (object: KubeObject): string => {
    if (answer.form === 'metadata') return JSON.stringify(metadataOnly(object))
    if (answer.form === 'object') return jsonOf(atVersion(object, resource))
    const table = tableOf(
      resource,
      [atVersion(object, resource)],
      { resourceVersion: object.metadata.resourceVersion },
      { include: answer.include, withColumns: first },
    )
    first = false
    return JSON.stringify(table)
  }
  const line = (type: string, body: string): void => writeLine(response, `{"type":"${type}","object":${body}}\n`)
  const write = (type: string, object: KubeObject): void => line(type, bodyOf(object))
  return {
    write,
    /** An object that starts or stops to be selected is added or deleted, as far as this watch is concerned. */
    event(event: StoreEvent, selects: Selects): void {
      const now = selects(event.object)
      const before = event.previous !== undefined && selects(event.previous)
      if (event.type === 'DELETED') {
        if (before || now) write('DELETED', event.object)
      } else if (now) write(before ? 'MODIFIED' : 'ADDED', event.object)
      else if (before) write('DELETED', withVersion(event.previous!, event.resourceVersion))
    },
    bookmark(version: number, initialEnd: boolean): void {
      const metadata = {
        resourceVersion: String(version),
        creationTimestamp: null,
        ...(initialEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
      }
      line('BOOKMARK', JSON.stringify({ kind: resource.kind, apiVersion: apiVersionOf(resource), metadata }))
    },
    error(cause: unknown, log: (line: string) => void): void {
      const error = cause instanceof ApiError ? cause : toApiError(cause, log)
      line('ERROR', JSON.stringify(error.status()))
    },
  }
}

function withVersion(object: KubeObject, version: number): KubeObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } }
}

function writeLine(response: ServerResponse, text: string): void {
  if (!response.writableEnded && !response.destroyed) response.write(text)
}
