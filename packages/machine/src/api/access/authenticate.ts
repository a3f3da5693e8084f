// Who sends a request: the administrator (static token, or the admin socket) or a service account. Nobody else is known;
// requests without credentials are anonymous.
import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { forbidden, unauthorized } from '../objects/errors.ts'
import type { User } from './rbac.ts'
import type { Tokens } from './tokens.ts'

export const administrator: User = { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] }
const anonymous: User = { username: 'system:anonymous', groups: ['system:unauthenticated'] }

export type Authenticate = (request: IncomingMessage) => Promise<User>

/** undefined: not the administrator's token. */
export function staticTokenUser(adminToken: string): (token: string) => User | undefined {
  const expected = Buffer.from(adminToken)
  return (token) => {
    const given = Buffer.from(token)
    return given.length === expected.length && timingSafeEqual(given, expected) ? administrator : undefined
  }
}

/** Bearer tokens. Throws 401 for a token that is not valid. */
export function bearerAuthentication(tokens: Tokens, staticUser: (token: string) => User | undefined): Authenticate {
  return async (request) => {
    const { authorization } = request.headers
    if (authorization === undefined) return impersonated(request, anonymous)
    const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1]
    if (token === undefined) throw unauthorized()
    const known = staticUser(token)
    if (known !== undefined) return impersonated(request, known)
    const checked = await tokens.verify(token)
    if ('error' in checked) throw unauthorized()
    return impersonated(request, checked.user)
  }
}

/** `kubectl --as`: for administrators only. */
export function impersonated(request: IncomingMessage, user: User): User {
  const name = request.headers['impersonate-user']
  if (name === undefined) return user
  if (!user.groups.includes('system:masters')) throw forbidden(`User "${user.username}" cannot impersonate users`)
  const username = String(name)
  const asked = (request.headersDistinct['impersonate-group'] ?? []).flat()
  const account = /^system:serviceaccount:([^:]+):[^:]+$/.exec(username)
  const groups = account === null ? [] : ['system:serviceaccounts', `system:serviceaccounts:${account[1]}`]
  return { username, groups: [...groups, ...asked, 'system:authenticated'] }
}
