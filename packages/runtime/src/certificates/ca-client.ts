// Asks the controller (or istiod) for certificates: IstioCertificateService/CreateCertificate (ambient wire §2.7).
import grpc from '@grpc/grpc-js'
import { MeshError } from '@wishbone/core/errors'
import { ca } from '@wishbone/proto'
import { callMetadata, callUnary, connectMs, openChannel, readRoots } from '../xds/grpc.ts'
import { WorkloadCertificate } from './certificate.ts'
import { createCsr } from './csr.ts'

/** Where the manager gets its certificates from. Rejects when there is none. */
export interface FetchesCertificates {
  fetch(identity: string): Promise<WorkloadCertificate>
}

export interface CaClientOptions {
  /** `https://host:port` or `http://host:port`. */
  readonly address: string
  readonly rootCaFile: string
  readonly tokenFile?: string
  readonly clusterId?: string
  readonly ttlSeconds: number
  /** True for a proxy shared by many workloads: each request names whom it is for. False for a workload's own proxy. */
  readonly impersonate: boolean
  readonly alternateHostname?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
}

interface Channel {
  readonly roots: string | undefined
  readonly client: grpc.Client
  readonly madeMs: number
}

export class CaClient implements FetchesCertificates {
  readonly #options: CaClientOptions
  readonly #timeoutMs: number
  #channel: Channel | undefined

  constructor(options: CaClientOptions) {
    this.#options = options
    this.#timeoutMs = options.timeoutMs ?? 10_000
  }

  /** A new key and a certificate for it, checked. Rejects with MeshError `certificate-unavailable`. */
  async fetch(identity: string): Promise<WorkloadCertificate> {
    const { csrPem, key } = await createCsr(identity)
    try {
      const chain = await this.#sign(identity, csrPem)
      const roots = chain.at(-1)
      if (roots === undefined || chain.length < 2) throw new Error('the answer holds no chain with a root')
      return new WorkloadCertificate({
        identity,
        key,
        chainPem: chain.slice(0, -1).map(endWithNewline).join(''),
        rootsPem: roots,
      })
    } catch (cause) {
      throw MeshError.from(cause, 'certificate-unavailable', {
        at: 'upstream',
        retry: 'yes',
        hint: `no certificate for ${identity} from ${this.#options.address}; is the controller reachable, and may this proxy ask for that identity?`,
      })
    }
  }

  close(): void {
    this.#channel?.client.close()
    this.#channel = undefined
  }

  async #sign(identity: string, csr: string): Promise<readonly string[]> {
    const { ttlSeconds, impersonate } = this.#options
    const request = {
      csr,
      validityDuration: BigInt(ttlSeconds),
      ...(impersonate ? { metadata: { ImpersonatedIdentity: identity } } : {}),
    }
    const metadata = await callMetadata(this.#options)
    const method = ca.IstioCertificateService.method.createCertificate
    const answer = await callUnary(await this.#client(), method, request, { metadata, timeoutMs: this.#timeoutMs })
    return answer.certChain
  }

  /**
   * The open channel, or a new one: when the root file has changed, and when this one has got no connection in time. grpc-js
   * itself waits as long as the kernel does, two minutes, for a peer that is gone without a word.
   */
  async #client(): Promise<grpc.Client> {
    const roots = await readRoots(this.#options)
    const limitMs = Math.min(connectMs, this.#timeoutMs)
    const known = this.#channel
    const isYoung = known !== undefined && performance.now() - known.madeMs < limitMs
    if (known !== undefined && known.roots === roots && (isYoung || stateOf(known) === grpc.connectivityState.READY))
      return known.client
    this.close()
    const client = openChannel({ ...this.#options, silenceMs: this.#timeoutMs }, roots)
    const channel = { roots, client, madeMs: performance.now() }
    this.#channel = channel
    // Who waits for the connection until then is told, and comes back on another one.
    setTimeout(() => {
      if (this.#channel === channel && stateOf(channel) === grpc.connectivityState.CONNECTING) this.close()
    }, limitMs).unref()
    return client
  }
}

function stateOf({ client }: Channel): grpc.connectivityState {
  return client.getChannel().getConnectivityState(false)
}

function endWithNewline(pem: string): string {
  return pem.endsWith('\n') ? pem : `${pem}\n`
}
