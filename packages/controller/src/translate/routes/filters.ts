// Filters of HTTPRoute and GRPCRoute. One that can't be resolved is never skipped: the request is
// answered with an error instead.
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { l7 } from '@wishbone/proto'
import type { FaultInjection, GRPCRoute, HTTPRoute } from '../../kinds/index.ts'
import { generationOf } from '../conditions.ts'
import { durationOf } from '../durations.ts'
import { type BackendContext, resolveBackend } from './backends.ts'

type HttpFilter = NonNullable<NonNullable<HTTPRoute['spec']['rules']>[number]['filters']>[number]
type GrpcFilter = NonNullable<NonNullable<GRPCRoute['spec']['rules']>[number]['filters']>[number]
export type RouteFilter = HttpFilter | GrpcFilter
type FilterKind = NonNullable<MessageInitShape<typeof l7.FilterSchema>['kind']>

export function translateFilters(context: BackendContext, filters: readonly RouteFilter[] | undefined): l7.Filter[] {
  return (filters ?? []).map((filter) => create(l7.FilterSchema, { kind: kindOf(context, filter) }))
}

/** A rule may redirect or rewrite, not both; and have one of each filter but mirrors and extensions. */
export function incompatibility(filters: readonly RouteFilter[] | undefined): string | undefined {
  const types = (filters ?? []).map(({ type }) => type)
  if (types.includes('RequestRedirect') && types.includes('URLRewrite')) {
    return 'filters RequestRedirect and URLRewrite exclude each other; remove one'
  }
  const twice = types.find(
    (type, index) => !['RequestMirror', 'ExtensionRef'].includes(type) && types.indexOf(type) !== index,
  )
  return twice && `filter ${twice} is there twice; merge them`
}

function kindOf(context: BackendContext, filter: RouteFilter): FilterKind {
  switch (filter.type) {
    case 'RequestHeaderModifier':
      return { case: 'requestHeaders', value: headers(filter.requestHeaderModifier) }
    case 'ResponseHeaderModifier':
      return { case: 'responseHeaders', value: headers(filter.responseHeaderModifier) }
    case 'RequestMirror':
      return { case: 'mirror', value: mirror(context, filter.requestMirror) }
    case 'RequestRedirect':
      return { case: 'redirect', value: redirect(filter.requestRedirect ?? {}) }
    case 'URLRewrite': {
      const { hostname = '', path } = filter.urlRewrite ?? {}
      return { case: 'rewrite', value: { hostname, ...pathRewrite(path) } }
    }
    case 'CORS':
      return { case: 'cors', value: cors(filter.cors ?? {}) }
    case 'ExtensionRef':
      return extension(context, filter.extensionRef)
    default:
      return unresolved(context, 'UnsupportedValue', `filter type ${(filter as { type: string }).type} is not known`)
  }
}

function headers(modifier: HttpFilter['requestHeaderModifier'] = {}): MessageInitShape<typeof l7.HeaderModifierSchema> {
  const pairs = (values: readonly { name: string; value: string }[] = []) =>
    values.map(({ name, value }) => ({ name, value }))
  return { set: pairs(modifier.set), add: pairs(modifier.add), remove: [...(modifier.remove ?? [])] }
}

function mirror(
  context: BackendContext,
  filter: HttpFilter['requestMirror'],
): MessageInitShape<typeof l7.MirrorSchema> {
  if (!filter) throw new Error('a RequestMirror filter needs requestMirror')
  const share = filter.fraction
    ? { numerator: filter.fraction.numerator, denominator: filter.fraction.denominator ?? 100 }
    : { numerator: filter.percent ?? 100, denominator: 100 }
  return { backend: resolveBackend(context, filter.backendRef), ...share }
}

function redirect(filter: NonNullable<HttpFilter['requestRedirect']>): MessageInitShape<typeof l7.RedirectSchema> {
  const { scheme = '', hostname = '', port = 0, statusCode = 302 } = filter
  return { scheme, hostname, port, status: statusCode, ...pathRewrite(filter.path) }
}

function pathRewrite(path: NonNullable<HttpFilter['urlRewrite']>['path']) {
  if (!path) return {}
  const kind =
    path.type === 'ReplaceFullPath'
      ? ({ case: 'full', value: path.replaceFullPath ?? '/' } as const)
      : ({ case: 'prefix', value: path.replacePrefixMatch ?? '/' } as const)
  return { path: { kind } }
}

function cors(filter: NonNullable<HttpFilter['cors']>): MessageInitShape<typeof l7.CorsSchema> {
  return {
    allowOrigins: [...(filter.allowOrigins ?? [])],
    allowCredentials: filter.allowCredentials ?? false,
    allowMethods: [...(filter.allowMethods ?? [])],
    allowHeaders: [...(filter.allowHeaders ?? [])],
    exposeHeaders: [...(filter.exposeHeaders ?? [])],
    // The API's default, for API servers that don't apply defaults.
    maxAgeSeconds: filter.maxAge ?? 5,
  }
}

function extension(context: BackendContext, ref: HttpFilter['extensionRef']): FilterKind {
  if (!ref) throw new Error('an ExtensionRef filter needs extensionRef')
  if (ref.group !== 'wishbone.dev' || ref.kind !== 'FaultInjection') {
    const message = `extension ${ref.kind}.${ref.group} ${ref.name} is not known; FaultInjection.wishbone.dev is`
    return unresolved(context, 'InvalidKind', message)
  }
  const key = `${context.routeNamespace}/${ref.name}`
  const found = context.world.faults.get(key)
  if (!found) return unresolved(context, 'BackendNotFound', `FaultInjection ${key} does not exist`)
  try {
    return { case: 'fault', value: fault(found) }
  } catch (cause) {
    return unresolved(context, 'UnsupportedValue', `FaultInjection ${key}: ${(cause as Error).message}`)
  }
}

function fault(found: FaultInjection): MessageInitShape<typeof l7.FaultInjectionSchema> {
  const { delay, abort } = found.spec
  const wait = durationOf(delay?.fixedDelay, 'spec.delay.fixedDelay')
  return {
    source: {
      kind: 'FaultInjection',
      namespace: found.metadata.namespace ?? '',
      name: found.metadata.name,
      generation: BigInt(generationOf(found)),
    },
    ...(wait ? { delay: wait, delayPercent: delay?.percentage ?? 100 } : {}),
    ...(abort
      ? {
          abortStatus: abort.httpStatus ?? (abort.grpcStatus === undefined ? 500 : 0),
          abortGrpc: abort.grpcStatus !== undefined,
          abortGrpcStatus: abort.grpcStatus ?? 0,
          abortPercent: abort.percentage ?? 100,
        }
      : {}),
  }
}

function unresolved(context: BackendContext, reason: string, message: string): FilterKind {
  context.problems.push({ reason, message })
  return { case: 'direct', value: { status: 500, body: `${message}\n`, reason } }
}
