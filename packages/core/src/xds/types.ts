// The words of delta xDS, free of generated messages: a transport turns them into DeltaDiscoveryRequest and -Response.

/** A resource as it is sent: `bytes` are the value of the google.protobuf.Any, encoded once and shared by all clients. */
export interface VersionedResource {
  readonly bytes: Uint8Array
  /** Hash of the content: the same on every replica of the server. */
  readonly version: string
  /** Other names under which a client may ask for it, such as <network>/<ip>. */
  readonly aliases: readonly string[]
  /**
   * Names that, asked for on demand, are answered with this resource too: a workload has here the names of its services
   * and `node:<its node>`.
   */
  readonly groups?: readonly string[]
  /** A policy that covers workloads by its scope, whether or not they name it. */
  readonly shared?: boolean
}

/** Resources of one type by name. Never changed once it is in a set: sessions share it and compare it by reference. */
export type ResourceMap = ReadonlyMap<string, VersionedResource>

/** Type URL to resources. Keep the map of a type that did not change: an equal reference costs nothing. */
export type ResourceSet = ReadonlyMap<string, ResourceMap>

export interface NamedResource {
  readonly name: string
  readonly resource: VersionedResource
}

/** A DeltaDiscoveryRequest. */
export interface DeltaRequest {
  readonly typeUrl: string
  readonly subscribe: readonly string[]
  readonly unsubscribe: readonly string[]
  /** Only on the first request of a type on a stream: name to version. */
  readonly initialVersions: ReadonlyMap<string, string>
  /** The response this answers; empty in a request that answers none. */
  readonly nonce: string
  /** Present in a NACK, even if it is empty. */
  readonly error?: string
}

/** A DeltaDiscoveryResponse. */
export interface DeltaResponse {
  readonly typeUrl: string
  readonly nonce: string
  readonly resources: readonly NamedResource[]
  readonly removed: readonly string[]
}

export type SessionInput =
  | { readonly kind: 'request'; readonly request: DeltaRequest }
  | { readonly kind: 'resources'; readonly resources: ResourceSet }

export type SessionOutput =
  | { readonly kind: 'response'; readonly response: DeltaResponse }
  | { readonly kind: 'acknowledged'; readonly typeUrl: string; readonly nonce: string }
  | { readonly kind: 'rejected'; readonly typeUrl: string; readonly nonce: string; readonly message: string }
