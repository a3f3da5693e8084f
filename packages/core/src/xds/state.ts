// What a server's session remembers of one stream.
import { typeUrls } from '@wishbone/proto'
import type { Known } from './diff.ts'
import type { ResourceMap, ResourceSet } from './types.ts'

export interface SessionOptions {
  /** What to send; without it answers wait for the first `resources` input. */
  readonly resources?: ResourceSet
  /**
   * Types to which this client is known to subscribe. Address waits for Authorization if it is among them, even when
   * the client's request for Address arrives first. A client that does not keep to this never gets its Addresses.
   */
  readonly expects?: readonly string[]
  /** Groups that an on-demand client gets without asking: `node:<its node>`. */
  readonly groups?: readonly string[]
}

/** One type's part of a session. */
export interface TypeState {
  readonly wildcard: boolean
  /** Names asked for, without "*". */
  readonly names: ReadonlySet<string>
  /** What the client holds once it has taken everything sent. */
  readonly known: Known
  /** The resources up to which everything was sent; undefined before the first response. */
  readonly sent: ResourceMap | undefined
  /** The resources up to which everything was acknowledged. */
  readonly acknowledged: ResourceMap | undefined
  /** Names to answer in the next response; true: even if the client's version is the current one. */
  readonly asked: ReadonlyMap<string, boolean>
  /** Removals and changes that wait until another type has caught up. */
  readonly withheld: readonly string[]
  /** Nonce of the response that is not answered yet. */
  readonly outstanding: string | undefined
  /** The last response that the client rejected, at least in part. */
  readonly rejection: { readonly nonce: string; readonly message: string } | undefined
}

export interface Session {
  readonly options: SessionOptions
  readonly resources: ResourceSet | undefined
  readonly types: ReadonlyMap<string, TypeState>
  /** Number of responses so far; the last one's nonce. */
  readonly sequence: number
}

/** Types in the order in which they are pushed; unknown ones come last. */
export const pushOrder: readonly string[] = [
  typeUrls.requestPolicy,
  typeUrls.authorization,
  typeUrls.address,
  typeUrls.workload,
  typeUrls.certificate,
  typeUrls.tcpRoute,
  typeUrls.udpRoute,
  typeUrls.route,
  typeUrls.listener,
]
