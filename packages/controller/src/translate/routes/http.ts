// Rules of HTTPRoutes and GRPCRoutes as l7.Route messages, one each, without their parents.
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { l7 } from '@wishbone/proto'
import type { GRPCRoute, HTTPRoute } from '../../kinds/index.ts'
import { generationOf } from '../conditions.ts'
import { durationOf } from '../durations.ts'
import { createdUnixMs } from '../world.ts'
import { type BackendContext, resolveBackend } from './backends.ts'
import { checkExpressions } from './expressions.ts'
import { incompatibility, translateFilters } from './filters.ts'
import { grpcMatch, httpMatch } from './matches.ts'

type HttpRule = NonNullable<HTTPRoute['spec']['rules']>[number]
type GrpcRule = NonNullable<GRPCRoute['spec']['rules']>[number]

type RuleInit = Omit<MessageInitShape<typeof l7.RouteSchema>, '$typeName' | 'matches'> & {
  readonly matches?: l7.RequestMatch[]
}

export type RuleOutcome =
  | { readonly kind: 'route'; readonly message: l7.Route }
  /** The rule can't be used; the others can. */
  | { readonly kind: 'dropped'; readonly message: string }
  /** The API says that the whole route is not accepted. */
  | { readonly kind: 'incompatible'; readonly message: string }

export function httpRule(context: BackendContext, route: HTTPRoute, rule: HttpRule, index: number): RuleOutcome {
  return ruleOutcome(context, route, rule, index, () => ({
    matches: (rule.matches ?? []).map(httpMatch),
    ...limits(rule),
  }))
}

export function grpcRule(context: BackendContext, route: GRPCRoute, rule: GrpcRule, index: number): RuleOutcome {
  return ruleOutcome(context, route, rule, index, () => ({ matches: (rule.matches ?? []).map(grpcMatch), grpc: true }))
}

function ruleOutcome(
  context: BackendContext,
  route: HTTPRoute | GRPCRoute,
  rule: HttpRule | GrpcRule,
  index: number,
  own: () => RuleInit,
): RuleOutcome {
  const filters = [rule.filters, ...(rule.backendRefs ?? []).map((ref) => ref.filters)]
  const incompatible = filters.map(incompatibility).find((found) => found !== undefined)
  if (incompatible) return { kind: 'incompatible', message: `rule ${index}: ${incompatible}` }
  try {
    const { matches = [], ...rest } = own()
    checkExpressions(matches)
    const message = create(l7.RouteSchema, {
      ...rest,
      matches,
      name: `${context.routeKind}/${context.routeNamespace}/${route.metadata.name}/${index}`,
      source: source(context, route, rule.name ? `${index} ${rule.name}` : String(index)),
      precedence: precedence(route, index),
      filters: translateFilters(context, rule.filters),
      backends: (rule.backendRefs ?? []).map((ref) => ({
        weight: ref.weight ?? 1,
        backend: resolveBackend(context, ref),
        filters: translateFilters(context, ref.filters),
      })),
    })
    return { kind: 'route', message }
  } catch (cause) {
    return { kind: 'dropped', message: `rule ${index}: ${cause instanceof Error ? cause.message : String(cause)}` }
  }
}

export function source(
  context: BackendContext,
  route: HTTPRoute | GRPCRoute | { metadata: HTTPRoute['metadata'] },
  section: string,
) {
  const generation = BigInt(generationOf(route as HTTPRoute))
  return { kind: context.routeKind, namespace: context.routeNamespace, name: route.metadata.name, section, generation }
}

export function precedence(route: { readonly metadata: HTTPRoute['metadata'] }, rule: number) {
  return {
    createdUnixMs: BigInt(createdUnixMs(route as HTTPRoute)),
    namespace: route.metadata.namespace ?? '',
    name: route.metadata.name,
    rule,
  }
}

function limits({ timeouts, retry }: HttpRule): RuleInit {
  const request = durationOf(timeouts?.request, 'timeouts.request')
  const backendRequest = durationOf(timeouts?.backendRequest, 'timeouts.backendRequest')
  const backoff = durationOf(retry?.backoff, 'retry.backoff')
  return {
    ...(timeouts
      ? {
          timeouts: create(l7.TimeoutsSchema, {
            ...(request ? { request } : {}),
            ...(backendRequest ? { backendRequest } : {}),
          }),
        }
      : {}),
    ...(retry
      ? {
          retry: create(l7.RetrySchema, {
            codes: [...(retry.codes ?? [])],
            attempts: retry.attempts ?? 1,
            ...(backoff ? { backoff } : {}),
          }),
        }
      : {}),
  }
}
