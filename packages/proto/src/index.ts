// The wire contract: generated messages, and the type URLs under which they travel.
export * as discovery from './gen/envoy/discovery/discovery_pb.ts'
export * as status from './gen/google/rpc/status_pb.ts'
export * as ca from './gen/istio/ca/ca_pb.ts'
export * as security from './gen/istio/security/authorization_pb.ts'
export * as workload from './gen/istio/workload/workload_pb.ts'
export * as zds from './gen/istio/zds/zds_pb.ts'
export * as l7 from './gen/wishbone/l7/v1/l7_pb.ts'

/** Type URLs of the resources on the ADS stream (ambient wire §2.2, and our own L7 types). */
export const typeUrls = {
  address: 'type.googleapis.com/istio.workload.Address',
  authorization: 'type.googleapis.com/istio.security.Authorization',
  workload: 'type.googleapis.com/istio.workload.Workload',
  listener: 'type.googleapis.com/wishbone.l7.v1.Listener',
  route: 'type.googleapis.com/wishbone.l7.v1.Route',
  tcpRoute: 'type.googleapis.com/wishbone.l7.v1.TcpRoute',
  certificate: 'type.googleapis.com/wishbone.l7.v1.Certificate',
  udpRoute: 'type.googleapis.com/wishbone.l7.v1.UdpRoute',
  requestPolicy: 'type.googleapis.com/wishbone.l7.v1.RequestPolicy',
} as const

export type TypeUrl = (typeof typeUrls)[keyof typeof typeUrls]
