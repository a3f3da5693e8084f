// A Kubernetes API server of a few hundred lines for unit tests: collections with paging, watches, resource versions,
// conflicts, merge patch, a rough server-side apply (maps merged; conditions by type, listeners by name), TokenReview.
// No schemas, no authorization. The real behaviours under test are made to happen on demand: expire(), fail(), cut().
import http from 'node:http'
import type { AddressInfo } from 'node:net'

export interface FakeObject {
  apiVersion: string
  kind: string
  metadata: Record<string, unknown> & {
    name: string
    namespace?: string
    resourceVersion?: string
    uid?: string
    generation?: number
  }
  [member: string]: unknown
}

interface Watcher {
  readonly path: string
  readonly response: http.ServerResponse
}

interface Change {
  readonly version: number
  readonly path: string
  readonly type: string
  readonly object: FakeObject
}

export interface Recorded {
  readonly method: string
  readonly url: string
  readonly body: unknown
}

export class FakeApiServer implements AsyncDisposable {
  /** By collection path without namespace, then "<namespace>/<name>". Absent: the kind is not installed. */
  readonly collections = new Map<string, Map<string, FakeObject>>()
  readonly requests: Recorded[] = []
  tokens = new Map<string, unknown>()
  bookmarks = true
  #version = 100
  #history: Change[] = []
  #oldest = 0
  #watchers = new Set<Watcher>()
  #failures: { readonly match: RegExp; readonly status: number; readonly message: string; times: number }[] = []
  #server = http.createServer((request, response) => void this.#handle(request, response))

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return this.url
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get watcherCount(): number {
    return this.#watchers.size
  }

  install(...paths: readonly string[]): this {
    for (const path of paths) if (!this.collections.has(path)) this.collections.set(path, new Map())
    return this
  }

  put(
    path: string,
    object: Omit<FakeObject, 'metadata'> & { metadata: { name: string; namespace?: string; [m: string]: unknown } },
  ): FakeObject {
    this.install(path)
    const collection = this.collections.get(path)!
    const key = `${object.metadata.namespace ?? ''}/${object.metadata.name}`
    const known = collection.get(key)
    const stored = structuredClone(object) as unknown as FakeObject
    stored.metadata.resourceVersion = String(++this.#version)
    stored.metadata.uid = (stored.metadata.uid as string) ?? known?.metadata.uid ?? `uid-${this.#version}`
    const specChanged = JSON.stringify(known?.['spec']) !== JSON.stringify(stored['spec'])
    stored.metadata.generation = (known?.metadata.generation ?? 0) + (specChanged || known === undefined ? 1 : 0)
    collection.set(key, stored)
    this.#announce(path, known === undefined ? 'ADDED' : 'MODIFIED', stored)
    return stored
  }

  remove(path: string, namespace: string, name: string): void {
    const collection = this.collections.get(path)
    const object = collection?.get(`${namespace}/${name}`)
    if (object === undefined) return
    collection!.delete(`${namespace}/${name}`)
    const gone = structuredClone(object)
    gone.metadata.resourceVersion = String(++this.#version)
    this.#announce(path, 'DELETED', gone)
  }

  find(path: string, namespace: string, name: string): FakeObject | undefined {
    return this.collections.get(path)?.get(`${namespace}/${name}`)
  }

  /** Forgets history: watches from an older version get 410, also in their stream. */
  expire(): void {
    this.#oldest = ++this.#version
    this.#history = []
    for (const watcher of this.#watchers) {
      send(watcher.response, 'ERROR', {
        kind: 'Status',
        code: 410,
        reason: 'Expired',
        message: 'too old resource version',
      })
      watcher.response.end()
    }
    this.#watchers.clear()
  }

  /** Ends all watches without a word. */
  cut(): void {
    for (const watcher of this.#watchers) watcher.response.destroy()
    this.#watchers.clear()
  }

  /** The next `times` requests whose "METHOD url" matches are answered with `status`. */
  fail(match: RegExp, status: number, times: number, message = 'injected failure'): void {
    this.#failures.push({ match, status, times, message })
  }

  async #handle(request: http.IncomingMessage, response: http.ServerResponse): Promise<unknown> {
    const url = new URL(request.url ?? '/', 'http://fake')
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body: unknown = chunks.length === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString())
    this.requests.push({ method: request.method ?? '', url: request.url ?? '', body })
    const failure = this.#failures.find(
      ({ match, times }) => times > 0 && match.test(`${request.method} ${request.url}`),
    )
    if (failure !== undefined) {
      failure.times--
      return status(response, failure.status, 'Injected', failure.message)
    }
    if (url.pathname === '/apis/authentication.k8s.io/v1/tokenreviews') return this.#review(body, response)
    const where = locate(url.pathname)
    const collection = this.collections.get(where.path)
    if (collection === undefined)
      return status(response, 404, 'NotFound', 'the server could not find the requested resource')
    if (where.name === undefined && request.method === 'GET') {
      if (url.searchParams.get('watch') === 'true') return this.#watch(where.path, url, response)
      return this.#list(collection, url, response)
    }
    const key = `${where.namespace ?? ''}/${where.name ?? (body as FakeObject | undefined)?.metadata.name}`
    const known = collection.get(key)
    switch (request.method) {
      case 'GET':
        return known === undefined ? status(response, 404, 'NotFound', `${key} not found`) : json(response, 200, known)
      case 'POST':
        if (known !== undefined) return status(response, 409, 'AlreadyExists', `${key} already exists`)
        return json(response, 201, this.put(where.path, body as FakeObject))
      case 'DELETE':
        if (known === undefined) return status(response, 404, 'NotFound', `${key} not found`)
        this.remove(where.path, where.namespace ?? '', where.name ?? '')
        return json(response, 200, known)
      case 'PUT':
      case 'PATCH':
        return this.#change(request, response, where, known, body as FakeObject)
      default:
        return status(response, 405, 'MethodNotAllowed', 'no')
    }
  }

  #change(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    where: Where,
    known: FakeObject | undefined,
    body: FakeObject,
  ): unknown {
    const apply = request.headers['content-type'] === 'application/apply-patch+yaml'
    if (known === undefined && (!apply || where.sub !== undefined))
      return status(response, 404, 'NotFound', 'not found')
    const version = body.metadata?.resourceVersion
    if (known !== undefined && version !== undefined && version !== known.metadata.resourceVersion)
      return status(response, 409, 'Conflict', 'the object has been modified')
    let next: FakeObject
    if (where.sub === 'status' && known !== undefined)
      next = {
        ...known,
        status: request.method === 'PUT' ? body['status'] : merge(known['status'], body['status'], apply),
      }
    else if (request.method === 'PUT') next = { ...body, status: known?.['status'] ?? body['status'] }
    else next = merge(known ?? {}, body, apply) as FakeObject
    if (known !== undefined)
      next = {
        ...next,
        metadata: { ...next.metadata, uid: known.metadata.uid!, resourceVersion: known.metadata.resourceVersion! },
      }
    // Nothing changed: no new version, no event; as the real one does.
    if (known !== undefined && sorted(next) === sorted(known)) return json(response, 200, known)
    json(response, known === undefined ? 201 : 200, this.put(where.path, next))
  }

  #list(collection: Map<string, FakeObject>, url: URL, response: http.ServerResponse): unknown {
    const all = [...collection.values()]
    const limit = Number(url.searchParams.get('limit') ?? all.length)
    const [start, version] = (url.searchParams.get('continue') ?? `0:${this.#version}`).split(':').map(Number) as [
      number,
      number,
    ]
    if (version < this.#oldest) return status(response, 410, 'Expired', 'the continue token has expired')
    const end = start + limit
    // Lists leave these two out of their items.
    const items = all.slice(start, end).map(({ apiVersion: _a, kind: _k, ...item }) => item)
    json(response, 200, {
      kind: 'List',
      metadata: { resourceVersion: String(version), ...(end < all.length ? { continue: `${end}:${version}` } : {}) },
      items,
    })
  }

  #watch(path: string, url: URL, response: http.ServerResponse): unknown {
    const from = Number(url.searchParams.get('resourceVersion') ?? 0)
    if (from < this.#oldest) return status(response, 410, 'Expired', 'too old resource version')
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    for (const change of this.#history)
      if (change.path === path && change.version > from) send(response, change.type, change.object)
    if (this.bookmarks) send(response, 'BOOKMARK', { metadata: { resourceVersion: String(this.#version) } })
    const watcher = { path, response }
    this.#watchers.add(watcher)
    response.on('close', () => this.#watchers.delete(watcher))
  }

  #announce(path: string, type: string, object: FakeObject): void {
    this.#history.push({ version: this.#version, path, type, object: structuredClone(object) })
    for (const watcher of this.#watchers) if (watcher.path === path) send(watcher.response, type, object)
  }

  #review(body: unknown, response: http.ServerResponse): void {
    const { token } = (body as { spec: { token: string } }).spec
    const answer = this.tokens.get(token) ?? { authenticated: false, error: 'unknown token' }
    json(response, 201, { ...(body as object), status: answer })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

interface Where {
  readonly path: string
  readonly namespace?: string | undefined
  readonly name?: string | undefined
  readonly sub?: string | undefined
}

function locate(pathname: string): Where {
  const match =
    /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+)(?=\/[^/]+))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(
      pathname,
    )
  if (match === null) return { path: pathname }
  return { path: `${match[1]}/${match[3]}`, namespace: match[2], name: match[4], sub: match[5] }
}

/** Apply: lists of conditions and listeners are maps by type or name; every other list is atomic. */
function merge(base: unknown, patch: unknown, apply: boolean): unknown {
  if (Array.isArray(patch) && Array.isArray(base) && apply) {
    const key = ['type', 'name'].find((name) =>
      [...patch, ...base].every(
        (item) => typeof item === 'object' && item !== null && name in item && 'status' in item === (name === 'type'),
      ),
    )
    if (key === undefined) return patch
    const left = new Map(base.map((item) => [(item as Record<string, unknown>)[key], item as unknown]))
    for (const item of patch)
      left.set(
        (item as Record<string, unknown>)[key],
        merge(left.get((item as Record<string, unknown>)[key]), item, apply),
      )
    return [...left.values()]
  }
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const result: Record<string, unknown> = { ...(typeof base === 'object' && base !== null ? base : {}) }
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name]
    else result[name] = merge(result[name], value, apply)
  }
  return result
}

function sorted(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort())
      : inner,
  )
}

function send(response: http.ServerResponse, type: string, object: unknown): void {
  response.write(`${JSON.stringify({ type, object })}\n`)
}

function json(response: http.ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

function status(response: http.ServerResponse, code: number, reason: string, message: string): void {
  json(response, code, { kind: 'Status', code, reason, message })
}
