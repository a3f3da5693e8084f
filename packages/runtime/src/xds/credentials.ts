// Channel credentials for peers that may be gone: grpc-js has no limit for the time between a TCP connection and the peer's
// first byte, and keeps such a socket open when its channel is closed. A peer that lives says something at once: its part of
// the TLS handshake, or its HTTP/2 settings.
import grpc from '@grpc/grpc-js'

type Create = grpc.ChannelCredentials['_createSecureConnector']
type Connector = ReturnType<Create>

export class LimitedCredentials extends grpc.ChannelCredentials {
  readonly #inner: grpc.ChannelCredentials
  readonly #silenceMs: number

  constructor(inner: grpc.ChannelCredentials, silenceMs: number) {
    super()
    this.#inner = inner
    this.#silenceMs = silenceMs
  }

  override _isSecure(): boolean {
    return this.#inner._isSecure()
  }

  override _equals(other: grpc.ChannelCredentials): boolean {
    return this === other
  }

  override _createSecureConnector(...options: Parameters<Create>): Connector {
    const connector = this.#inner._createSecureConnector(...options)
    const silenceMs = this.#silenceMs
    return {
      connect(socket) {
        const { promise: silence, reject } = Promise.withResolvers<never>()
        const timer = setTimeout(() => {
          if (socket.bytesRead > 0) return
          socket.destroy()
          reject(new Error(`the peer has said nothing for ${silenceMs} ms`))
        }, silenceMs)
        timer.unref()
        socket.once('close', () => clearTimeout(timer))
        return Promise.race([connector.connect(socket), silence])
      },
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      destroy: () => connector.destroy(),
    }
  }
}
