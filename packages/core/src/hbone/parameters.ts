// Numbers and names that both ends of HBONE use (ambient wire §1.2, §1.5).
import { ports } from '../names/constants.ts'

export const headerNames = {
  baggage: 'baggage',
  forwarded: 'forwarded',
  traceparent: 'traceparent',
  /** Only on the inner CONNECT of double HBONE: the network that the connection comes from. */
  forwardedNetwork: 'x-forwarded-network',
} as const

/** Bytes, streams and milliseconds. A stream's window holds several frames, or HBONE inside HBONE would deadlock. */
export const http2Parameters = {
  streamWindow: 4 << 20,
  connectionWindow: 16 << 20,
  maxFrameSize: 1 << 20,
  serverMaxStreams: 200,
  clientMaxStreams: 100,
  serverMaxHeaderList: 65_536,
  clientMaxHeaderList: 16_384,
  pingIntervalMs: 10_000,
  pingTimeoutMs: 20_000,
  idleReleaseMs: 300_000,
  connectTimeoutMs: 10_000,
  /**
   * For the answer to a CONNECT: longer than a destination may take, which waits for its own workload, a policy and its application
   * first. Istio's ztunnel waits without a limit, and its client with it.
   */
  answerTimeoutMs: 30_000,
} as const

/** Ports of the proxy itself: a CONNECT to them would call the proxy through itself. */
export const illegalPorts: ReadonlySet<number> = new Set([ports.hbone, ports.inboundPlaintext, ports.outbound])
