// The shapes of a compiled configuration. All of it is frozen: a change makes a new table.
import type { CorsPolicy, Fault, HeaderModifier, PathRewrite, Redirect } from '@wishbone/core/filters'
import type { HostTable } from '@wishbone/core/matching'
import type { RetryPolicy } from '@wishbone/core/retry'
import type { l7 } from '@wishbone/proto'

export type Source = l7.Source
export type Protocol = 'unknown' | 'http' | 'http2' | 'tcp' | 'tls' | 'https' | 'udp'

export interface RouteTable {
  readonly listeners: ReadonlyMap<string, ListenerTable>
  /** By "<hostname>:<port>". */
  readonly services: ReadonlyMap<string, ListenerTable>
  /** By UID. */
  readonly workloads: ReadonlyMap<string, ListenerTable>
  /** Of a gateway; TCP. */
  readonly ports: ReadonlyMap<number, PortTable>
  /** Of a gateway; UDP. */
  readonly udpPorts: ReadonlyMap<number, UdpPortTable>
  /** Name of the Certificate resource to show to backends that are spoken to with TLS; "": none. */
  readonly backendClientCertificate: string
  /** What could not be used and why; the rest is in force. */
  readonly problems: readonly Problem[]
}

export interface Problem {
  readonly resource: string
  readonly reason: string
}

export type Bound =
  | { readonly kind: 'service'; readonly namespace: string; readonly hostname: string; readonly port: number }
  | { readonly kind: 'workload'; readonly uid: string }
  | { readonly kind: 'gateway'; readonly port: number; readonly hostname: string }

export interface ListenerTable {
  readonly name: string
  readonly source: Source | undefined
  readonly protocol: Protocol
  readonly bound: Bound
  /** Names of Authorization resources. */
  readonly policies: readonly string[]
  /** Null: TLS, if there is any, is passed through. */
  readonly tls: Termination | null
  /** Null: no route names this listener, traffic goes to the Service itself. */
  readonly http: HostTable<Rule> | null
  readonly tcp: HostTable<TcpRule> | null
  /** Routes of clients' own namespaces, which replace `http` and `tcp` for them (GEP-1426). */
  readonly consumers: ReadonlyMap<
    string,
    { readonly http: HostTable<Rule> | null; readonly tcp: HostTable<TcpRule> | null }
  >
  /** The Service itself, where there is one. */
  readonly itself: Rule | null
}

/** How a gateway's listener ends its clients' TLS. */
export interface Termination {
  /** Names of Certificate resources, best first. */
  readonly certificates: readonly string[]
  readonly clientValidation: { readonly caPem: string; readonly insecureFallback: boolean } | undefined
}

/** The listeners of one TCP port of a gateway. */
export interface PortTable {
  readonly port: number
  /** On "tls" the client's server name chooses a listener: one that ends TLS (HTTPS, TLS), or one that passes it on. */
  readonly kind: 'http' | 'tls' | 'tcp'
  /** Most specific hostname first. */
  readonly listeners: readonly ListenerTable[]
}

export interface UdpPortTable {
  readonly port: number
  readonly listener: string
  /** Null: there is no route, and what arrives is dropped. */
  readonly rule: UdpRule | null
}

export interface UdpRule {
  readonly name: string
  readonly backends: readonly UdpBackend[]
}

export interface UdpBackend {
  readonly weight: number
  readonly endpoints: readonly { readonly host: string; readonly port: number }[]
}

/** One rule of an HTTPRoute or GRPCRoute. */
export interface Rule {
  readonly name: string
  readonly source: Source | undefined
  readonly grpc: boolean
  readonly filters: Filters
  readonly backends: readonly Backend[]
  /** Undefined: no limit. */
  readonly requestTimeoutMs: number | undefined
  readonly backendTimeoutMs: number | undefined
  readonly retry: RetryPolicy | undefined
}

export interface TcpRule {
  readonly name: string
  readonly source: Source | undefined
  readonly backends: readonly Backend[]
}

export interface Filters {
  readonly requestHeaders: readonly HeaderModifier[]
  readonly responseHeaders: readonly HeaderModifier[]
  readonly redirect: Redirect | undefined
  readonly rewriteHost: string
  readonly rewritePath: PathRewrite | undefined
  readonly mirrors: readonly Mirror[]
  readonly cors: CorsPolicy | undefined
  readonly faults: readonly NamedFault[]
  readonly direct: DirectResponse | undefined
}

export interface NamedFault extends Fault {
  readonly source: Source | undefined
}

export interface Mirror {
  readonly backend: Backend
  readonly numerator: number
  readonly denominator: number
}

export interface DirectResponse {
  readonly status: number
  readonly body: string
  readonly reason: string
}

export interface UpstreamTls {
  readonly hostname: string
  readonly caPem: string
  readonly systemCa: boolean
  readonly subjectAltNames: readonly string[]
  /** Not "": nothing may be sent, for this reason. */
  readonly invalid: string
}

/** Where requests can go. */
export type Upstream = ServiceBackend | WorkloadBackend

export type Backend = Upstream | InvalidBackend

interface Weighted {
  readonly weight: number
  readonly filters: Filters | null
}

export interface ServiceBackend extends Weighted {
  readonly kind: 'service'
  /** "<namespace>/<hostname>". */
  readonly service: string
  readonly namespace: string
  readonly hostname: string
  readonly port: number
  readonly protocol: Protocol
  readonly tls: UpstreamTls | undefined
}

export interface WorkloadBackend extends Weighted {
  readonly kind: 'workload'
  readonly uid: string
  readonly port: number
  readonly protocol: Protocol
}

/** Answers 500 with its share. */
export interface InvalidBackend extends Weighted {
  readonly kind: 'invalid'
  readonly reason: string
  readonly message: string
}
