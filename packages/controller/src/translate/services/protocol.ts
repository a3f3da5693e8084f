// Which protocol a Service's port speaks: appProtocol, else the port's name up to its first "-".
import { l7, workload } from '@wishbone/proto'
import type { ServicePort } from '../../kinds/index.ts'

const { AppProtocol } = workload

const known: Readonly<Record<string, workload.AppProtocol>> = {
  http: AppProtocol.HTTP11,
  http1: AppProtocol.HTTP11,
  'kubernetes.io/ws': AppProtocol.HTTP11,
  'grpc-web': AppProtocol.HTTP11,
  http2: AppProtocol.HTTP2,
  h2c: AppProtocol.HTTP2,
  'kubernetes.io/h2c': AppProtocol.HTTP2,
  grpc: AppProtocol.GRPC,
  tcp: AppProtocol.TCP,
  mongo: AppProtocol.TCP,
  mysql: AppProtocol.TCP,
  redis: AppProtocol.TCP,
  https: AppProtocol.TLS,
  tls: AppProtocol.TLS,
  'kubernetes.io/wss': AppProtocol.TLS,
}

/** "constructor" is a name that a port may have, and none of a protocol. */
const byName = (name: string) => (Object.hasOwn(known, name) ? known[name] : undefined)

/** UNKNOWN when neither says; proxies then look at the first bytes. */
export function appProtocolOf(port: ServicePort): workload.AppProtocol {
  const declared = port.appProtocol?.toLowerCase()
  if (declared !== undefined) return byName(declared) ?? AppProtocol.UNKNOWN
  const name = port.name?.toLowerCase() ?? ''
  return (
    byName(name) ??
    (name.startsWith('grpc-web') ? AppProtocol.HTTP11 : byName(name.split('-')[0]!)) ??
    AppProtocol.UNKNOWN
  )
}

/** Which kinds of routes name a port. */
export interface RouteKinds {
  readonly http: boolean
  readonly tls: boolean
  readonly tcp: boolean
}

/** What a waypoint's listener for the port accepts: as its routes say, HTTP before TLS before TCP; else as the port does. */
export function listenerProtocol(app: workload.AppProtocol, routes: RouteKinds | undefined): l7.Protocol {
  if (routes?.http) return l7.Protocol.HTTP
  if (routes?.tls) return l7.Protocol.TLS
  if (routes?.tcp) return l7.Protocol.TCP
  switch (app) {
    case AppProtocol.HTTP11:
    case AppProtocol.HTTP2:
    case AppProtocol.GRPC:
      return l7.Protocol.HTTP
    case AppProtocol.TCP:
      return l7.Protocol.TCP
    case AppProtocol.TLS:
      return l7.Protocol.TLS
    default:
      return l7.Protocol.UNSPECIFIED
  }
}

/** What to speak to an application behind the port. */
export function backendProtocol(app: workload.AppProtocol): l7.Protocol {
  switch (app) {
    case AppProtocol.HTTP11:
      return l7.Protocol.HTTP
    case AppProtocol.HTTP2:
    case AppProtocol.GRPC:
      return l7.Protocol.HTTP2
    case AppProtocol.TCP:
      return l7.Protocol.TCP
    default:
      return l7.Protocol.UNSPECIFIED
  }
}
