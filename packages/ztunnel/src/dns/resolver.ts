// Answers one DNS query of a pod: from the mesh's services, or from the cluster's nameservers.
import type { MeshState, Workload } from '@wishbone/core/mesh'
import type { Metrics } from '@wishbone/runtime/metrics'
import { AUTHORITATIVE_ANSWER, decode, encode, type Packet, RECURSION_AVAILABLE, RECURSION_DESIRED } from 'dns-packet'
import { answersFor } from './answer.ts'
import type { Transport } from './forward.ts'
import { findService } from './names.ts'

/** Sends a query to the cluster's nameservers from the pod's namespace; resolves with the raw answer. */
export type Forward = (query: Buffer, transport: Transport) => Promise<Buffer>

export interface DnsResolverOptions {
  readonly state: MeshState
  readonly clusterDomain: string
  readonly network: string
  readonly random: () => number
  readonly metrics: Metrics
}

/** No message is longer (RFC 1035 §4.2.2: the length before it has two bytes), whatever it is sent over. */
const maxMessage = 65_535
/** More than a message has room for. */
const maxRecords = 4_096

export class DnsResolver {
  readonly #options: DnsResolverOptions
  readonly #requests
  readonly #upstream
  readonly #failures
  readonly #duration

  constructor(options: DnsResolverOptions) {
    this.#options = options
    const { metrics } = options
    this.#requests = metrics.counter('istio_dns_requests_total', 'DNS queries of pods.')
    this.#upstream = metrics.counter('istio_dns_upstream_requests_total', 'DNS queries passed on.')
    this.#failures = metrics.counter('istio_dns_upstream_failures_total', 'DNS queries passed on without an answer.')
    this.#duration = metrics.histogram(
      'istio_dns_upstream_request_duration_seconds',
      'Time to an answer from upstream.',
    )
  }

  /** The answer to a raw query; undefined when it is not even a query (nothing is to be sent then). */
  async answer(
    bytes: Buffer,
    client: Workload | undefined,
    transport: Transport,
    forward: Forward,
  ): Promise<Buffer | undefined> {
    const query = parse(bytes)
    if (query === undefined) return undefined
    this.#requests.inc()
    const own = client === undefined ? undefined : this.#answerOwn(query, client)
    if (own !== undefined) return transport === 'udp' && own.length > datagramLimit(query) ? truncated(query) : own
    this.#upstream.inc()
    const startedMs = performance.now()
    try {
      return await forward(bytes, transport)
    } catch {
      this.#failures.inc()
      return respond(query, { flags: RECURSION_AVAILABLE, rcode: 2 })
    } finally {
      this.#duration.observe((performance.now() - startedMs) / 1000)
    }
  }

  #answerOwn(query: Packet, client: Workload): Buffer | undefined {
    const { state, clusterDomain, network, random } = this.#options
    const question = query.questions?.[0]
    if (question === undefined || query.questions?.length !== 1 || query.opcode !== 'QUERY') return undefined
    if (question.type !== 'A' && question.type !== 'AAAA') return undefined
    const found = findService(question.name, {
      clientNamespace: client.namespace,
      clusterDomain,
      servicesByHostname: (hostname) => state.servicesByHostname(hostname),
    })
    if (found === undefined) return undefined
    const answers = answersFor(question, found, state.endpointsOf(found.service), network, random)
    if (answers === undefined) return undefined
    const reply = (some: typeof answers): Buffer =>
      respond(query, { flags: AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE, rcode: 0, answers: some })
    const whole = reply(answers.slice(0, maxRecords))
    if (whole.length <= maxMessage) return whole
    // Those of a big headless service that fit: each answer has others, and a client needs but one.
    const share = (maxMessage - 1024) / whole.length
    return reply(answers.slice(0, Math.floor(Math.min(answers.length, maxRecords) * share)))
  }
}

function parse(bytes: Buffer): Packet | undefined {
  try {
    const packet = decode(bytes)
    return packet.type === 'query' ? packet : undefined
  } catch {
    return undefined
  }
}

/** Bytes that the client takes in one datagram (RFC 6891). */
function datagramLimit(query: Packet): number {
  const option = query.additionals?.find((one) => one.type === 'OPT') as
    | { readonly udpPayloadSize?: number }
    | undefined
  return Math.max(512, option?.udpPayloadSize ?? 512)
}

/** Tells the client to ask again over TCP. */
function truncated(query: Packet): Buffer {
  return respond(query, { flags: AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE | 0x200, rcode: 0 })
}

interface Reply {
  readonly flags: number
  readonly rcode: number
  readonly answers?: Packet['answers']
}

function respond(query: Packet, reply: Reply): Buffer {
  return encode({
    type: 'response',
    id: query.id ?? 0,
    // dns-packet has no field for the response code of an answer: it is the low four bits of the flags.
    flags: reply.flags | ((query.flags ?? 0) & RECURSION_DESIRED) | reply.rcode,
    questions: query.questions ?? [],
    answers: reply.answers ?? [],
  })
}
