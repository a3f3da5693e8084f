// rtnetlink requests: one message, one acknowledgement, errors that name what was asked for.
import { OsError } from './errors.ts'
import { exchange, flags, message, NETLINK_ROUTE, type NetlinkReply } from './netlink.ts'

export interface RouteRequest {
  /** RTM_… */
  readonly type: number
  readonly flags?: number
  readonly body: readonly Uint8Array[]
  readonly about: string
  /** Errors that mean "already so", e.g. EEXIST for an addition. */
  readonly ignore?: readonly string[]
}

/** Sends one request to the namespace's kernel. @throws OsError */
export function requestRoute(nsFd: number | undefined, request: RouteRequest): readonly NetlinkReply[] {
  const flag = flags.request | flags.ack | (request.flags ?? 0)
  const replies = exchange(nsFd, NETLINK_ROUTE, message(request.type, flag, 1, Buffer.concat(request.body)))
  for (const { error } of replies) {
    if (!error || error.errno === 0) continue
    const failure = new OsError(error.errno, 'rtnetlink', request.about, error.detail)
    if (!request.ignore?.includes(failure.code)) throw failure
  }
  return replies
}
