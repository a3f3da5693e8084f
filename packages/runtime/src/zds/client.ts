// ztunnel's side of ZDS. States: waiting (backoff) → connected (Hello sent; requests are handled one by one, each
// answered by an Ack) → waiting … until closed. What was added stays in force while there is no connection; after
// the next SnapshotSent, what the agent did not mention is to be dropped (ambient wire §3.4).
import { backoff, delay } from '../lifecycle/index.ts'
import type { Logger } from '../log/index.ts'
import { closeFd, connectSeqpacket, type Packet, type SeqpacketConnection } from '../os/index.ts'
import { decodeRequest, encodeAck, encodeHello } from './codec.ts'
import type { ZdsWorkload } from './peer.ts'

/** nsFd belongs to the handler, which closes it when the pod is gone (or if it refuses the pod). */
export type AddedWorkload = ZdsWorkload

/** A rejection becomes the Ack's error. Handlers run one after another. */
export interface ZdsClientOptions {
  readonly path: string
  readonly log: Logger
  readonly onAdd: (workload: AddedWorkload) => Promise<void>
  readonly onDel: (uid: string) => Promise<void> | void
  /** The agent knows the pod but has no namespace for it: go on with what there is. Reject if the pod is not known. */
  readonly onKeep: (uid: string) => Promise<void> | void
  /** The uids that this connection has mentioned since Hello; every other workload is to be dropped. */
  readonly onSnapshot: (uids: ReadonlySet<string>) => Promise<void> | void
  readonly onConnection?: (connected: boolean) => void
}

export interface ZdsClient extends AsyncDisposable {
  readonly connected: boolean
}

class Client implements ZdsClient {
  readonly #options: ZdsClientOptions
  readonly #stop = new AbortController()
  readonly #running: Promise<void>
  #connected = false

  constructor(options: ZdsClientOptions) {
    this.#options = options
    this.#running = this.#run()
  }

  get connected(): boolean {
    return this.#connected
  }

  async #run(): Promise<void> {
    const { path, log, onConnection } = this.#options
    // Not 15 s as Istio's: the socket is on this node, and new pods of the node wait for the connection.
    const wait = backoff({ firstMs: 10, maxMs: 1_000 })
    let complaint = ''
    while (!this.#stop.signal.aborted) {
      try {
        await this.#session(() => {
          wait.reset()
          complaint = ''
          this.#connected = true
          log.info('connected to the node agent', { path })
          onConnection?.(true)
        })
        log.info('the node agent closed the connection, connecting again', { path })
      } catch (cause) {
        const text = cause instanceof Error ? cause.message : String(cause)
        if (text !== complaint) log.warn('no connection to the node agent, trying again', { path, error: text })
        complaint = text
      }
      if (this.#connected) {
        this.#connected = false
        onConnection?.(false)
      }
      await delay(wait.next(), this.#stop.signal)
    }
  }

  /** One connection from Hello to its end. Rejects with what broke it; resolves if the agent closed it. */
  async #session(onConnected: () => void): Promise<void> {
    const ended = Promise.withResolvers<Error | undefined>()
    const mentioned = new Set<string>()
    let work = Promise.resolve()
    const connection = connectSeqpacket(this.#options.path, {
      onPacket: (packet) => {
        work = work.then(() => this.#handle(connection, packet, mentioned))
      },
      onClose: ended.resolve,
    })
    const stop = () => connection.close()
    this.#stop.signal.addEventListener('abort', stop)
    try {
      connection.send(encodeHello())
      onConnected()
      const error = await ended.promise
      // Handlers of the old connection must be through before those of the next one begin.
      await work
      if (error) throw error
    } finally {
      this.#stop.signal.removeEventListener('abort', stop)
      connection.close()
    }
  }

  async #handle(connection: SeqpacketConnection, packet: Packet, mentioned: Set<string>): Promise<void> {
    let error = ''
    try {
      await this.#dispatch(packet, mentioned)
    } catch (cause) {
      // Never an empty text: that would read as success.
      error = (cause instanceof Error ? cause.message : String(cause)) || 'the request failed'
      this.#options.log.warn('a request of the node agent failed', { error })
    }
    if (connection.closed) return
    try {
      connection.send(encodeAck(error))
    } catch (cause) {
      connection.close(cause as Error)
    }
  }

  async #dispatch(packet: Packet, mentioned: Set<string>): Promise<void> {
    const { onAdd, onDel, onKeep, onSnapshot } = this.#options
    const [nsFd, ...surplus] = packet.descriptors
    for (const fd of surplus) closeFd(fd)
    let handedOver = false
    try {
      const { payload } = decodeRequest(packet.data)
      switch (payload.case) {
        case 'add': {
          const { uid, workloadInfo } = payload.value
          if (uid === '') throw new Error('the Add has no uid')
          if (nsFd === undefined) throw new Error(`the Add of ${uid} came without a network namespace`)
          if (!workloadInfo) throw new Error(`the Add of ${uid} has no workload info`)
          const { name, namespace, serviceAccount } = workloadInfo
          mentioned.add(uid)
          handedOver = true
          return await onAdd({ uid, info: { name, namespace, serviceAccount }, nsFd })
        }
        case 'keep':
          mentioned.add(payload.value.uid)
          return await onKeep(payload.value.uid)
        case 'del':
          mentioned.delete(payload.value.uid)
          return await onDel(payload.value.uid)
        case 'snapshotSent':
          return await onSnapshot(new Set(mentioned))
        default:
          throw new Error('the request is of a kind that is not known here')
      }
    } finally {
      if (nsFd !== undefined && !handedOver) closeFd(nsFd)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#running
  }
}

/** Connects and stays connected (10 ms to 1 s between attempts) until disposed. */
export function connectZds(options: ZdsClientOptions): ZdsClient {
  return new Client(options)
}
