// The agent's side of one ztunnel connection. States: greeting (waits for Hello) → ready → closed. In ready, requests
// wait in a queue; one at a time is sent and its Ack awaited, 5 s at most, else the connection is closed (ambient wire §3.4).
import { closeFd, type Packet, SeqpacketConnection } from '../os/index.ts'
import { checkHello, decodeAck, encodeRequest, type RequestPayload } from './codec.ts'

export interface ZdsWorkloadInfo {
  readonly name: string
  readonly namespace: string
  readonly serviceAccount: string
}

export interface ZdsWorkload {
  /** The pod's Kubernetes UID. */
  readonly uid: string
  readonly info: ZdsWorkloadInfo
  /** Network namespace; it stays the caller's and must be open until the promise settles. */
  readonly nsFd: number
}

/** One connected ztunnel. Each method resolves with the Ack and rejects with the Ack's error or the connection's end. */
export interface ZdsPeer {
  add(workload: ZdsWorkload): Promise<void>
  /** Only before snapshotSent. */
  keep(uid: string): Promise<void>
  del(uid: string): Promise<void>
  snapshotSent(): Promise<void>
  /** Aborted when the connection is gone. */
  readonly closed: AbortSignal
  close(reason: string): void
}

interface Waiting {
  readonly bytes: Buffer
  readonly about: string
  readonly descriptor: number | undefined
  readonly resolve: () => void
  readonly reject: (cause: Error) => void
}

export interface PeerOptions {
  readonly fd: number
  readonly deadlineMs: number
  readonly onReady: () => void
  /** Once, also if it never became ready. */
  readonly onClosed: (error: Error | undefined) => void
}

export class Peer implements ZdsPeer {
  readonly #options: PeerOptions
  readonly #connection: SeqpacketConnection
  readonly #abort = new AbortController()
  readonly #queue: Waiting[] = []
  #ready = false
  #snapshot = false
  #current: Waiting | undefined
  #deadline: NodeJS.Timeout | undefined

  constructor(options: PeerOptions) {
    this.#options = options
    this.#connection = new SeqpacketConnection(options.fd, {
      onPacket: (packet) => this.#received(packet),
      onClose: (error) => this.#ended(error),
    })
    this.#expect('no Hello')
  }

  get closed(): AbortSignal {
    return this.#abort.signal
  }

  add(workload: ZdsWorkload): Promise<void> {
    const { uid, info, nsFd } = workload
    const about = `Add ${info.namespace}/${info.name}`
    return this.#request({ case: 'add', value: { uid, workloadInfo: { ...info } } }, about, nsFd)
  }

  async keep(uid: string): Promise<void> {
    // Istio's ztunnel ends itself over this one, so it is refused here.
    if (this.#snapshot) throw new Error(`ZDS Keep ${uid}: not after SnapshotSent`)
    return this.#request({ case: 'keep', value: { uid } }, `Keep ${uid}`)
  }

  del(uid: string): Promise<void> {
    return this.#request({ case: 'del', value: { uid } }, `Del ${uid}`)
  }

  snapshotSent(): Promise<void> {
    this.#snapshot = true
    return this.#request({ case: 'snapshotSent', value: {} }, 'SnapshotSent')
  }

  close(reason: string): void {
    this.#connection.close(new Error(reason))
  }

  #expect(missing: string): void {
    const { deadlineMs } = this.#options
    this.#deadline = setTimeout(() => this.close(`${missing} from ztunnel within ${deadlineMs} ms`), deadlineMs)
  }

  async #request(payload: RequestPayload, about: string, descriptor?: number): Promise<void> {
    if (this.#connection.closed) throw new Error(`ZDS ${about}: the connection to ztunnel is closed`)
    const bytes = encodeRequest(payload)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#queue.push({ bytes, about, descriptor, resolve, reject })
    this.#next()
    return promise
  }

  #next(): void {
    if (!this.#ready || this.#current) return
    const next = this.#queue.shift()
    if (!next) return
    this.#current = next
    try {
      this.#connection.send(next.bytes, next.descriptor)
      this.#expect(`no Ack of ${next.about}`)
    } catch (cause) {
      // A bad descriptor is that pod's trouble; anything else is the connection's.
      if ((cause as NodeJS.ErrnoException).code === 'EBADF') {
        this.#current = undefined
        next.reject(new Error(`ZDS ${next.about}: ${(cause as Error).message}`, { cause }))
        this.#next()
      } else this.#connection.close(cause as Error)
    }
  }

  #received(packet: Packet): void {
    for (const fd of packet.descriptors) closeFd(fd)
    clearTimeout(this.#deadline)
    try {
      if (!this.#ready) {
        checkHello(packet.data)
        this.#ready = true
        this.#options.onReady()
      } else this.#acknowledged(decodeAck(packet.data))
    } catch (cause) {
      this.close(`ztunnel sent something unexpected: ${(cause as Error).message}`)
      return
    }
    this.#next()
  }

  #acknowledged(error: string): void {
    const current = this.#current
    if (!current) throw new Error('an Ack of nothing')
    this.#current = undefined
    if (error === '') current.resolve()
    else current.reject(new Error(`ZDS ${current.about}: ztunnel answered: ${error}`))
  }

  #ended(error: Error | undefined): void {
    clearTimeout(this.#deadline)
    const waiting = this.#current ? [this.#current, ...this.#queue] : this.#queue
    this.#current = undefined
    for (const { about, reject } of waiting.splice(0)) {
      reject(new Error(`ZDS ${about}: the connection to ztunnel ended`, { cause: error }))
    }
    this.#abort.abort()
    this.#options.onClosed(error)
  }
}
