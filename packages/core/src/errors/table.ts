// One table from reason to HTTP status, CONNECT status, gRPC status, response flag and title. Nothing else names reasons.

/** What a reason looks like to clients, in logs and in metrics. */
export interface ErrorEntry {
  /** Answer to an HTTP request at a waypoint or gateway. */
  readonly httpStatus: number
  /** Answer to an HBONE CONNECT (ambient wire §1.3). */
  readonly hboneStatus: number
  /** Answer to a gRPC request (google.rpc.Code). */
  readonly grpcStatus: number
  /** `response_flags` in metrics and logs: Istio's at L4 (ambient wire §4.5), Envoy's at L7. */
  readonly responseFlag: string
  readonly title: string
}

const grpc = { deadlineExceeded: 4, permissionDenied: 7, resourceExhausted: 8, internal: 13, unavailable: 14 } as const

const entry = (
  httpStatus: number,
  hboneStatus: number,
  grpcStatus: number,
  responseFlag: string,
  title: string,
): ErrorEntry => ({ httpStatus, hboneStatus, grpcStatus, responseFlag, title })

const table = {
  denied: entry(403, 401, grpc.permissionDenied, 'DENY', 'an authorization policy denied it'),
  'policy-missing': entry(403, 401, grpc.permissionDenied, 'DENY', 'a policy of the workload has not arrived yet'),
  'identity-mismatch': entry(503, 401, grpc.unavailable, 'IDENTITY_ERROR', 'the peer is not who it should be'),
  'tls-failure': entry(503, 503, grpc.unavailable, 'TLS_FAILURE', 'the TLS handshake failed'),
  'certificate-unavailable': entry(503, 503, grpc.unavailable, 'TLS_FAILURE', 'no certificate for the identity'),
  'h2-handshake': entry(503, 503, grpc.unavailable, 'H2_HANDSHAKE_FAILURE', 'the HTTP/2 handshake failed'),
  'connect-failed': entry(503, 503, grpc.unavailable, 'CONNECT', 'the upstream connection failed'),
  'connect-timeout': entry(504, 503, grpc.unavailable, 'CONNECT', 'the upstream did not answer the connection'),
  'network-policy': entry(503, 503, grpc.unavailable, 'NETWORK_POLICY', 'port 15008 did not answer'),
  'no-healthy-upstream': entry(503, 503, grpc.unavailable, 'UH', 'the service has no healthy endpoint'),
  'unknown-destination': entry(404, 404, grpc.unavailable, 'NR', 'the destination is not served here'),
  'waypoint-unavailable': entry(503, 503, grpc.unavailable, 'CONNECT', 'the waypoint of the destination is not there'),
  'workload-unknown': entry(503, 503, grpc.unavailable, 'CONNECT', 'the workload is not known yet'),
  'bad-authority': entry(400, 400, grpc.internal, '-', 'the authority is not an address or hostname with a port'),
  'not-connect': entry(400, 400, grpc.internal, '-', 'the request is not a CONNECT'),
  draining: entry(503, 503, grpc.unavailable, '-', 'the proxy is stopping'),
  'protocol-error': entry(400, 400, grpc.internal, 'DPE', 'the peer broke the protocol'),
  'bad-request': entry(400, 400, grpc.internal, 'DPE', 'the request is malformed'),
  'headers-too-large': entry(431, 431, grpc.internal, 'DPE', 'the header is larger than the limit'),
  'body-too-large': entry(413, 413, grpc.resourceExhausted, '-', 'the body is larger than the limit'),
  'no-route': entry(404, 404, 12, 'NR', 'no route matches the request'),
  'invalid-backend': entry(500, 503, grpc.internal, 'NC', 'the route names a backend that cannot be used'),
  'request-timeout': entry(504, 503, grpc.deadlineExceeded, 'UT', 'the request took longer than its route allows'),
  'backend-timeout': entry(504, 503, grpc.deadlineExceeded, 'UT', 'the backend took longer than its route allows'),
  'backend-reset': entry(502, 503, grpc.unavailable, 'UC', 'the backend closed the connection'),
  'backend-protocol': entry(502, 503, grpc.unavailable, 'UPE', 'the backend broke the protocol'),
  'rate-limited': entry(429, 429, grpc.unavailable, 'RL', 'the rate limit is used up'),
  overloaded: entry(503, 503, grpc.resourceExhausted, 'UO', 'a limit on open requests or connections is reached'),
  'client-stalled': entry(408, 503, grpc.deadlineExceeded, 'SI', 'the client did not go on with its request'),
  'client-closed': entry(499, 503, 1, 'DC', 'the client went away'),
  internal: entry(500, 503, grpc.internal, '-', 'the proxy failed'),
} as const satisfies Record<string, ErrorEntry>

export type MeshErrorCode = keyof typeof table

export const errorTable: Readonly<Record<MeshErrorCode, ErrorEntry>> = table

export const meshErrorCodes: readonly MeshErrorCode[] = Object.keys(table) as MeshErrorCode[]
