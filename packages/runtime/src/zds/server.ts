// The node agent's ZDS socket. Several ztunnels may be connected during a rolling update: the latest gets new pods,
// all of them hear of pods that leave (ambient wire §3.4). What a new connection must be told is the caller's to say.

import type { Logger } from '../log/index.ts'
import { listenSeqpacket, type SeqpacketListener } from '../os/index.ts'
import { Peer, type ZdsPeer, type ZdsWorkload } from './peer.ts'

export interface ZdsServerOptions {
  readonly path: string
  readonly log: Logger
  /**
   * A ztunnel has said Hello: send it all pods (add, or keep without a namespace), then snapshotSent. Its messages are
   * answered one by one; server.add() and del() calls meanwhile queue up in between, so look before each add whether
   * the pod is still there. A rejection closes the connection.
   */
  readonly onConnect: (peer: ZdsPeer) => Promise<void>
  readonly onDisconnect?: (peer: ZdsPeer) => void
  /**
   * The latest ztunnel has gone, and this one, which was there before, is the latest again: since the other came it has
   * been told of no new pod. So it goes when the agent restarts during an update of ztunnel, and the old one is back last.
   */
  readonly onFallback?: (peer: ZdsPeer) => void
  /** How long ztunnel may take for a Hello or an Ack; default 5000. */
  readonly deadlineMs?: number
}

export interface ZdsServer extends AsyncDisposable {
  /** To the latest ztunnel. Rejects with code ENOTCONN if there is none, else as ZdsPeer.add. */
  add(workload: ZdsWorkload): Promise<void>
  /** To all ztunnels; resolves when each has acknowledged or gone. Rejects if one answered with an error. */
  del(uid: string): Promise<void>
  /** Connected ztunnels that have said Hello, the latest last. */
  peers(): readonly ZdsPeer[]
}

class Server implements ZdsServer {
  readonly #options: ZdsServerOptions
  readonly #listener: SeqpacketListener
  readonly #greeting = new Set<Peer>()
  #peers: readonly Peer[] = []

  constructor(options: ZdsServerOptions) {
    this.#options = options
    this.#listener = listenSeqpacket(options.path, (fd) => this.#accepted(fd))
  }

  #accepted(fd: number): void {
    const { log, onConnect, onDisconnect, onFallback } = this.#options
    const peer = new Peer({
      fd,
      deadlineMs: this.#options.deadlineMs ?? 5000,
      onReady: () => {
        this.#greeting.delete(peer)
        this.#peers = [...this.#peers, peer]
        log.info('a ztunnel connected', { connected: this.#peers.length })
        Promise.resolve()
          .then(() => onConnect(peer))
          .catch((cause: unknown) => peer.close(`the snapshot could not be sent: ${String(cause)}`))
      },
      onClosed: (error) => {
        const greeted = !this.#greeting.delete(peer)
        const wasLatest = this.#peers.at(-1) === peer
        this.#peers = this.#peers.filter((other) => other !== peer)
        log.info('a ztunnel disconnected', { connected: this.#peers.length, error })
        if (greeted) onDisconnect?.(peer)
        const latest = this.#peers.at(-1)
        if (wasLatest && latest !== undefined) onFallback?.(latest)
      },
    })
    this.#greeting.add(peer)
  }

  peers(): readonly ZdsPeer[] {
    return this.#peers
  }

  async add(workload: ZdsWorkload): Promise<void> {
    const latest = this.#peers.at(-1)
    if (!latest) throw Object.assign(new Error('no ztunnel is connected to the ZDS socket'), { code: 'ENOTCONN' })
    await latest.add(workload)
  }

  async del(uid: string): Promise<void> {
    const answers = await Promise.allSettled(
      this.#peers.map((peer) =>
        peer.del(uid).catch((cause: unknown) => {
          // A ztunnel that has gone has let go of the pod, too.
          if (!peer.closed.aborted) throw cause
        }),
      ),
    )
    for (const answer of answers) if (answer.status === 'rejected') throw answer.reason
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close()
    for (const peer of [...this.#greeting, ...this.#peers]) peer.close('the node agent stops')
  }
}

/** Listens on the socket path (mode 0600), in place of whatever socket was there. @throws OsError */
export function listenZds(options: ZdsServerOptions): ZdsServer {
  return new Server(options)
}
