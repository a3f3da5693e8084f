// What is known of one request; fastify plugins see it as `request.wishbone`.
import type { HeaderList } from '@wishbone/core/filters'
import type { ListenerTable, Match, NoMatch } from '../compile/index.ts'
import type { Connection } from '../server/connection.ts'
import type { Head, IncomingRequest } from './head.ts'

export type ResponseHook = (status: number, headers: HeaderList) => void

export interface RequestContext {
  readonly request: IncomingRequest
  readonly head: Head
  readonly connection: Connection
  /** Undefined: nothing listens for this host. */
  readonly listener: ListenerTable | undefined
  /** The TLS handshake was for another listener. */
  readonly misdirected: boolean
  readonly match: Match | NoMatch
  /** Names and values in turn, as the backend will see them before the route's filters; may be changed in hooks. */
  readonly requestHeaders: HeaderList
  /** Called with each final response's head before it is sent; may change the headers. */
  onResponse(hook: ResponseHook): void
  readonly responseHooks: readonly ResponseHook[]
  /** Fields for this request's line in the access log. */
  readonly logFields: Record<string, string | number | boolean>
}
