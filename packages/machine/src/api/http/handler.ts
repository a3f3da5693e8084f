// One request from its head to its answer: who, may they, what is asked, do it.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { PodAccess } from '../../kubelet/access.ts'
import type { Authenticate } from '../access/authenticate.ts'
import { type Attempt, allows, refusal, type User } from '../access/rbac.ts'
import {
  answerAccessReview,
  answerSelfReview,
  answerTokenRequest,
  answerTokenReview,
  type Reviewer,
} from '../access/reviews.ts'
import { tokenIssuer } from '../access/tokens.ts'
import { badRequest, forbidden, methodNotAllowed, noSuchPath } from '../objects/errors.ts'
import { isMap, type JsonMap } from '../objects/object.ts'
import type { DeleteOptions, WriteOptions } from '../objects/options.ts'
import type { Resource } from '../objects/resources.ts'
import { parseFieldSelector } from '../objects/selectors.ts'
import { patchKindOf, readBody } from './body.ts'
import { discover, openApiDocument, openApiIndex } from './discovery.ts'
import { answerList, answerWatch, selectorOf } from './list.ts'
import { isTrue, parseResourcePath, type RequestInfo } from './request.ts'
import { type Answer, formOf, sendError, sendJson, sendObject, sendText } from './respond.ts'
import { answerLogs } from './streams.ts'
import { answerAction, answerScale } from './subresources.ts'

export interface Services extends Reviewer {
  readonly access: PodAccess
  readonly log: (line: string) => void
}

const version = {
  major: '1',
  minor: '36',
  gitVersion: 'v1.36.0+wishbone',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: '',
  platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
}

/** An OpenAPI 2 document without definitions, in protobuf: field 1 is `swagger`. */
const emptyOpenApi2 = '\n\x032.0'

interface Call {
  readonly request: IncomingMessage
  readonly answer: Answer & { readonly warnings: string[] }
  readonly path: string
  readonly query: URLSearchParams
  readonly user: User
}

/** Answers any request; failures become Status objects. */
export async function handle(
  services: Services,
  authenticate: Authenticate,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (!URL.canParse(request.url ?? '/', 'http://api')) {
    response.writeHead(400, { connection: 'close' }).end('the request target is not a URL\n')
    return
  }
  const url = new URL(request.url ?? '/', 'http://api')
  const answer = {
    response,
    form: formOf(request),
    include: includeOf(url.searchParams.get('includeObject')),
    warnings: [] as string[],
  }
  try {
    const user = await authenticate(request)
    const call: Call = { request, answer, path: url.pathname, query: url.searchParams, user }
    const info = parseResourcePath(request.method ?? 'GET', url.pathname, url.searchParams)
    if (info === undefined) await answerPath(services, call)
    else await answerResource(services, call, info)
  } catch (cause) {
    if (response.headersSent) response.destroy()
    else sendError(answer, cause, services.log)
  }
}

function includeOf(asked: string | null): Answer['include'] {
  return asked === 'Object' || asked === 'None' ? asked : 'Metadata'
}

export function authorize(services: Services, user: User, attempt: Attempt): void {
  if (!allows(services.api, user, attempt)) throw forbidden(refusal(user, attempt))
}

/** A list or watch of the one object that a field selector names is an attempt on that object. */
export function attemptOf(info: RequestInfo, query: URLSearchParams): Attempt {
  const selected = parseFieldSelector(query.get('fieldSelector') ?? '')
  const only = selected.find(({ path, equal }) => equal && path.join('.') === 'metadata.name')
  return {
    kind: 'resource',
    verb: info.verb,
    group: info.group,
    resource: info.subresource === undefined ? info.plural : `${info.plural}/${info.subresource}`,
    // A namespace is in itself, as far as roles are concerned.
    namespace: info.namespace ?? (info.group === '' && info.plural === 'namespaces' ? info.name : undefined),
    name: info.name ?? only?.value,
  }
}

async function answerPath(services: Services, { path, answer, user, request }: Call): Promise<void> {
  authorize(services, user, { kind: 'path', verb: (request.method ?? 'GET').toLowerCase(), path })
  const { api, tokens } = services
  if (['/healthz', '/livez', '/readyz'].includes(path.replace(/(?<=z)\/.*$/, '')))
    return sendText(answer, 200, 'ok', 'text/plain')
  if (path === '/version' || path === '/version/') return sendJson(answer, 200, version)
  if (path === '/.well-known/openid-configuration') {
    return sendJson(answer, 200, {
      issuer: tokenIssuer,
      jwks_uri: `${tokenIssuer}/openid/v1/jwks`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
    })
  }
  if (path === '/openid/v1/jwks') return sendJson(answer, 200, await tokens.keySet())
  if (path === '/openapi/v3') return sendJson(answer, 200, openApiIndex(api.resources))
  if (path.startsWith('/openapi/v3/')) {
    const document = openApiDocument(api.resources, path.slice('/openapi/v3/'.length))
    if (document !== undefined) return sendJson(answer, 200, document)
  }
  if (path === '/openapi/v2') {
    // kubectl asks for it only about kinds that version 3 does not know, and goes on to say that there is no such kind.
    const type = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'
    return sendText(answer, 200, emptyOpenApi2, type)
  }
  const found = discover(api.resources, path.length > 1 ? path.replace(/\/$/, '') : path)
  if (found === undefined) throw noSuchPath()
  sendJson(answer, 200, found)
}

async function answerResource(services: Services, call: Call, info: RequestInfo): Promise<void> {
  const { api } = services
  authorize(services, call.user, attemptOf(info, call.query))
  if (await answerReview(services, call, info)) return
  const resource = api.resources.byPath(info.group, info.version, info.plural)
  if (resource === undefined) throw noSuchPath()
  if (
    resource.namespaced &&
    info.namespace === undefined &&
    (info.name !== undefined || call.request.method === 'POST')
  )
    throw badRequest(`${resource.plural} are in namespaces: the path must name one`)
  if (!resource.namespaced && info.namespace !== undefined) throw noSuchPath()
  const { namespace, name, subresource } = info
  if (subresource !== undefined && subresource !== 'status') return answerSubresource(services, call, info, resource)
  if (subresource === 'status' && !resource.status) throw noSuchPath()
  if (name === undefined) return answerCollection(services, call, info, resource)
  await answerObject(services, call, { resource, namespace, name, subresource })
}

async function answerReview(services: Services, { request, answer, user }: Call, info: RequestInfo): Promise<boolean> {
  const { group, plural } = info
  if (group !== 'authentication.k8s.io' && group !== 'authorization.k8s.io') return false
  if (request.method !== 'POST') throw methodNotAllowed()
  const body = await readBody(request)
  const review: JsonMap = isMap(body) ? body : {}
  if (plural === 'tokenreviews') sendJson(answer, 201, await answerTokenReview(services, review))
  else if (plural === 'selfsubjectreviews') sendJson(answer, 201, answerSelfReview(user))
  else if (plural === 'subjectaccessreviews') sendJson(answer, 201, answerAccessReview(services, review, undefined))
  else if (plural === 'selfsubjectaccessreviews') sendJson(answer, 201, answerAccessReview(services, review, user))
  else throw noSuchPath()
  return true
}

function writeOptions({ request, query, answer }: Call, subresource: string | undefined): WriteOptions {
  const validation = query.get('fieldValidation')
  // Without a name the manager is the program, as its User-Agent gives it.
  const manager = query.get('fieldManager') ?? (request.headers['user-agent'] ?? 'unknown').split(/[/ ]/)[0]!
  return {
    fieldManager: manager === '' ? 'unknown' : manager,
    fieldValidation: validation === 'Strict' || validation === 'Ignore' ? validation : 'Warn',
    dryRun: query.getAll('dryRun').includes('All'),
    force: isTrue(query.get('force')),
    warn: (message) => answer.warnings.push(message),
    ...(subresource === undefined ? {} : { subresource }),
  }
}

function deleteOptions(query: URLSearchParams, body: unknown): DeleteOptions {
  const given: JsonMap = isMap(body) ? body : {}
  const grace = query.get('gracePeriodSeconds') ?? given.gracePeriodSeconds
  const policy = query.get('propagationPolicy') ?? given.propagationPolicy
  const orphan = given.orphanDependents === true
  return {
    ...(grace === undefined || grace === null ? {} : { gracePeriodSeconds: Number(grace) }),
    ...(typeof policy === 'string' ? { propagationPolicy: policy } : orphan ? { propagationPolicy: 'Orphan' } : {}),
    ...(isMap(given.preconditions)
      ? { preconditions: given.preconditions as DeleteOptions['preconditions'] & {} }
      : {}),
    dryRun: query.getAll('dryRun').includes('All') || (Array.isArray(given.dryRun) && given.dryRun.includes('All')),
  }
}

async function answerCollection(
  { api, log }: Services,
  call: Call,
  info: RequestInfo,
  resource: Resource,
): Promise<void> {
  const { request, answer, query } = call
  const { namespace } = info
  switch (request.method) {
    case 'GET':
    case 'HEAD':
      if (info.verb === 'watch') return answerWatch(api, answer, { resource, namespace, name: undefined }, query, log)
      return answerList(api, answer, resource, namespace, query)
    case 'POST':
      return sendObject(
        answer,
        201,
        resource,
        api.create(resource, namespace, await readBody(request), writeOptions(call, undefined)),
      )
    case 'DELETE': {
      const options = deleteOptions(query, await readBody(request))
      const selects = selectorOf(query, undefined)
      const items = api.list(resource.key, namespace).filter(selects)
      for (const object of items) api.delete(resource, object.metadata.namespace, object.metadata.name, options)
      return sendJson(answer, 200, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' })
    }
    default:
      throw methodNotAllowed()
  }
}

interface ObjectTarget {
  readonly resource: Resource
  readonly namespace: string | undefined
  readonly name: string
  readonly subresource: string | undefined
}

async function answerObject(
  services: Services,
  call: Call,
  { resource, namespace, name, subresource }: ObjectTarget,
): Promise<void> {
  const { api, log } = services
  const { request, answer, query } = call
  const options = writeOptions(call, subresource)
  switch (request.method) {
    case 'GET':
    case 'HEAD':
      if (isTrue(query.get('watch'))) return answerWatch(api, answer, { resource, namespace, name }, query, log)
      return sendObject(answer, 200, resource, api.get(resource, namespace, name))
    case 'PUT': {
      const body = await readBody(request)
      return sendObject(answer, 200, resource, api.update(resource, namespace, name, body, options))
    }
    case 'PATCH': {
      const kind = patchKindOf(request)
      const body = await readBody(request)
      const existed = api.find(resource.key, namespace, name) !== undefined
      // An apply that makes the object needs the right to make it.
      if (kind === 'apply' && !existed)
        authorize(services, call.user, {
          kind: 'resource',
          verb: 'create',
          group: resource.group,
          resource: resource.plural,
          namespace,
          name,
        })
      return sendObject(
        answer,
        existed ? 200 : 201,
        resource,
        api.patch(resource, namespace, name, body, kind, options),
      )
    }
    case 'DELETE': {
      if (subresource !== undefined) throw methodNotAllowed()
      const body = await readBody(request)
      return sendObject(answer, 200, resource, api.delete(resource, namespace, name, deleteOptions(query, body)))
    }
    default:
      throw methodNotAllowed()
  }
}

async function answerSubresource(services: Services, call: Call, info: RequestInfo, resource: Resource): Promise<void> {
  const { api, access } = services
  const { request, answer, query } = call
  const { namespace, name = '', subresource = '' } = info
  if (resource.key === '/pods' && subresource === 'log') {
    // A pod that does not exist is said in Kubernetes' words.
    api.get(resource, namespace, name)
    return answerLogs(access, answer.response, { namespace: namespace ?? '', name, query })
  }
  if (resource.key === '/pods' && ['exec', 'portforward', 'attach'].includes(subresource))
    throw badRequest(`pods/${subresource} needs an upgrade to a WebSocket: use kubectl 1.31 or later`)
  if (resource.key === '/serviceaccounts' && subresource === 'token' && request.method === 'POST')
    return sendJson(answer, 201, await answerTokenRequest(services, namespace ?? '', name, await readBody(request)))
  const method = request.method ?? 'GET'
  const patchKind = method === 'PATCH' ? patchKindOf(request) : undefined
  const body = await readBody(request)
  const target = { method, resource, namespace, name, body, patchKind, options: writeOptions(call, undefined) }
  if (resource.scale && subresource === 'scale' && ['GET', 'PUT', 'PATCH'].includes(method))
    return sendJson(answer, 200, answerScale(api, target))
  sendJson(answer, method === 'POST' ? 201 : 200, answerAction(api, subresource, target))
}
