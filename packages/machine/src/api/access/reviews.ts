// Questions that are posted and answered, never stored: who is this token, may this user, a token please.
import type { Api } from '../objects/api.ts'
import { notFound } from '../objects/errors.ts'
import { isMap, type JsonMap, listAt, mapAt } from '../objects/object.ts'
import { type Attempt, allows, type User } from './rbac.ts'
import { type Tokens, tokenIssuer } from './tokens.ts'

export interface Reviewer {
  readonly api: Api
  readonly tokens: Tokens
  /** For the administrator's static token; undefined when it is not that. */
  readonly staticUser: (token: string) => User | undefined
}

const strings = (list: readonly unknown[]): readonly string[] => list.map(String)

export async function answerTokenReview({ tokens, staticUser }: Reviewer, review: JsonMap): Promise<JsonMap> {
  const spec = mapAt(review, 'spec') ?? {}
  const token = String(spec.token ?? '')
  const audiences = strings(listAt(spec, 'audiences'))
  const answer = {
    ...review,
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenReview',
    metadata: review.metadata ?? {},
  }
  const known = staticUser(token)
  if (known !== undefined && (audiences.length === 0 || audiences.includes(tokenIssuer))) {
    const user = { username: known.username, uid: known.uid ?? '', groups: known.groups }
    return { ...answer, status: { authenticated: true, user, audiences: [tokenIssuer] } }
  }
  const result = await tokens.verify(token, audiences.length === 0 ? undefined : audiences)
  if ('error' in result) return { ...answer, status: { user: {}, error: result.error } }
  return { ...answer, status: { authenticated: true, user: result.user, audiences: result.audiences } }
}

export function answerAccessReview({ api }: Reviewer, review: JsonMap, self: User | undefined): JsonMap {
  const spec = mapAt(review, 'spec') ?? {}
  const user: User = self ?? {
    username: String(spec.user ?? ''),
    groups: strings(listAt(spec, 'groups')),
  }
  const resource = mapAt(spec, 'resourceAttributes')
  const path = mapAt(spec, 'nonResourceAttributes')
  const text = (value: unknown): string | undefined => (value === undefined || value === '' ? undefined : String(value))
  const attempt: Attempt = resource
    ? {
        kind: 'resource',
        verb: String(resource.verb ?? '*'),
        group: String(resource.group ?? ''),
        resource: `${String(resource.resource ?? '*')}${resource.subresource ? `/${String(resource.subresource)}` : ''}`,
        namespace: text(resource.namespace),
        name: text(resource.name),
      }
    : { kind: 'path', verb: String(path?.verb ?? 'get'), path: String(path?.path ?? '/') }
  const allowed = allows(api, user, attempt)
  return {
    ...review,
    metadata: review.metadata ?? {},
    status: { allowed, ...(allowed ? {} : { reason: 'no role allows it' }) },
  }
}

export function answerSelfReview(user: User): JsonMap {
  return {
    kind: 'SelfSubjectReview',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { creationTimestamp: null },
    status: { userInfo: user },
  }
}

/** POST serviceaccounts/NAME/token. */
export async function answerTokenRequest(
  { api, tokens }: Reviewer,
  namespace: string,
  name: string,
  body: unknown,
): Promise<JsonMap> {
  const account = api.find('/serviceaccounts', namespace, name)
  if (account === undefined) throw notFound({ group: '', plural: 'serviceaccounts' }, name)
  const spec = mapAt(body, 'spec') ?? {}
  const bound = spec.boundObjectRef
  const audiences = strings(listAt(spec, 'audiences'))
  const issued = await tokens.issue(account, {
    audiences,
    ...(typeof spec.expirationSeconds === 'number' ? { expirationSeconds: spec.expirationSeconds } : {}),
    ...(isMap(bound)
      ? {
          boundObject: {
            kind: String(bound.kind),
            name: String(bound.name),
            ...(bound.uid === undefined ? {} : { uid: String(bound.uid) }),
          },
        }
      : {}),
  })
  return {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { name, namespace },
    spec: {
      ...spec,
      audiences: audiences.length > 0 ? audiences : [tokenIssuer],
      expirationSeconds: spec.expirationSeconds ?? 3600,
    },
    status: issued,
  }
}
