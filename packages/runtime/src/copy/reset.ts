// Resets a TCP connection at any moment of its life.
import type net from 'node:net'

/**
 * RST instead of FIN. libuv refuses that while the FIN is being sent (`uv_tcp_close_reset`: EINVAL while shutting down), and node has
 * let go of the handle by then: the socket would never be closed, and its descriptor never given back. The moment is waited for here.
 */
export function resetSocket(socket: net.Socket): void {
  if (socket.destroyed) return
  const sendsFin = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0
  if (sendsFin) socket.once('finish', () => resetSocket(socket))
  else socket.resetAndDestroy()
}
