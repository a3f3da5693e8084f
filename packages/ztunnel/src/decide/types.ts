// The words of the decisions: what is known of a connection, and what is to be done with it.
import type { MeshErrorCode } from '@wishbone/core/errors'
import type { Authority } from '@wishbone/core/hbone'
import type { SpiffeId } from '@wishbone/core/identity'
import type { SocketAddress } from '@wishbone/core/ip'
import type { Service, Workload } from '@wishbone/core/mesh'

/** Refused. `hint` says what the operator should look at. */
export interface Reject {
  readonly kind: 'reject'
  readonly code: MeshErrorCode
  readonly message: string
  readonly hint?: string
}

export interface OutboundFacts {
  readonly source: Workload
  /** Where the application wanted to go (SO_ORIGINAL_DST). */
  readonly destination: SocketAddress
  /** The network of this proxy. */
  readonly network: string
}

/** Where an outbound connection goes. `service` is the service that the client addressed, if any. */
export type OutboundDecision =
  | {
      readonly kind: 'tcp'
      /** passthrough: nothing is known of the destination; plaintext: it is known, but takes no HBONE. */
      readonly why: 'passthrough' | 'plaintext'
      readonly target: SocketAddress
      readonly workload?: Workload
      readonly service?: Service
    }
  | {
      /** A workload that has only a hostname: look it up, connect to `port` without a tunnel. */
      readonly kind: 'resolve'
      readonly hostname: string
      readonly port: number
      readonly family: 4 | 6
      readonly workload: Workload
      readonly service?: Service
    }
  | {
      readonly kind: 'hbone'
      readonly through: 'workload' | 'waypoint'
      /** The server of the tunnel: <pod>:15008. */
      readonly hop: SocketAddress
      readonly authority: string
      /** SPIFFE URIs, one of which the server must prove. */
      readonly identities: readonly string[]
      /** The workload at the hop. */
      readonly workload: Workload
      readonly service?: Service
    }
  | Reject

export interface InboundFacts {
  /** The workload that owns the listener. */
  readonly local: Workload
  /** The address of ours that the connection came to. */
  readonly localIp: string
  /** HBONE: the request's authority; plaintext: the original destination. */
  readonly target: Authority
  readonly tunnelled: boolean
  /** From mutual TLS only. */
  readonly peer?: SpiffeId | undefined
  readonly peerIp: string
  readonly network: string
}

export type InboundDecision =
  | {
      readonly kind: 'accept'
      readonly upstream: SocketAddress
      /** The ALLOW policy that matched; absent when no policy applies. */
      readonly policy?: string
      readonly dryRun: readonly string[]
    }
  | (Reject & {
      /** The DENY policy that matched. */
      readonly policy?: string
      readonly dryRun?: readonly string[]
    })
