// Matches of HTTPRoute and GRPCRoute rules; both become path, method, header and query conditions.
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { l7 } from '@wishbone/proto'
import type { GRPCRoute, HTTPRoute } from '../../kinds/index.ts'

type HttpMatch = NonNullable<NonNullable<HTTPRoute['spec']['rules']>[number]['matches']>[number]
type GrpcMatch = NonNullable<NonNullable<GRPCRoute['spec']['rules']>[number]['matches']>[number]
type PathKind = NonNullable<MessageInitShape<typeof l7.PathMatchSchema>['kind']>

export function httpMatch(match: HttpMatch, index: number): l7.RequestMatch {
  return create(l7.RequestMatchSchema, {
    path: { kind: httpPath(match.path) },
    method: match.method ?? '',
    headers: values(match.headers, (name) => name.toLowerCase()),
    query: values(match.queryParams, (name) => name),
    index,
  })
}

export function grpcMatch(match: GrpcMatch, index: number): l7.RequestMatch {
  return create(l7.RequestMatchSchema, {
    path: { kind: grpcPath(match.method) },
    headers: values(match.headers, (name) => name.toLowerCase()),
    index,
  })
}

function httpPath({ type = 'PathPrefix', value = '/' }: NonNullable<HttpMatch['path']> = {}): PathKind {
  switch (type) {
    case 'Exact':
      return { case: 'exact', value }
    case 'RegularExpression':
      return { case: 'regex', value }
    default:
      return { case: 'prefix', value }
  }
}

/** A gRPC method is the path /<service>/<method>. */
function grpcPath({ type = 'Exact', service, method }: NonNullable<GrpcMatch['method']> = {}): PathKind {
  if (!service && !method) return { case: 'prefix', value: '/' }
  if (type === 'RegularExpression') {
    return { case: 'regex', value: `/(?:${service || '[^/]+'})/(?:${method || '[^/]+'})` }
  }
  if (!method) return { case: 'prefix', value: `/${service}` }
  if (!service) return { case: 'regex', value: `/[^/]+/${method.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}` }
  return { case: 'exact', value: `/${service}/${method}` }
}

/** Only the first of several conditions on one name counts (Gateway API, HTTPHeaderMatch). */
function values(
  conditions: readonly { readonly type?: string; readonly name: string; readonly value: string }[] | undefined,
  key: (name: string) => string,
): MessageInitShape<typeof l7.ValueMatchSchema>[] {
  const first = new Map<string, MessageInitShape<typeof l7.ValueMatchSchema>>()
  for (const { type, name, value } of conditions ?? []) {
    if (first.has(key(name))) continue
    const kind = type === 'RegularExpression' ? 'regex' : 'exact'
    first.set(key(name), { name: key(name), kind: { case: kind, value } })
  }
  return [...first.values()]
}
