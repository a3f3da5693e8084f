// One request of an HTTP/1 connection at a time. What a client sends behind a request that is not answered yet waits here, and
// nothing more is read from it meanwhile: a request that is not idempotent may not run beside others of its connection
// (RFC 9112 §9.3.2), and nobody may fill the memory with what it has not taken the answers of. nginx and Envoy do the same.
import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

export interface Turns {
  /**
   * Calls `serve` once everything before this request on its connection is answered; never if the connection ends first.
   * False: too much waits already, and the connection is to be closed.
   */
  take(socket: Duplex, response: ServerResponse, serve: () => void): boolean
  /** Calls `act` once every request on the connection is answered, or the connection ends. For what is no request itself. */
  afterAll(socket: Duplex, act: () => void): void
  /** The connection's last request. */
  latest(socket: Duplex): ServerResponse | undefined
  /**
   * node's HTTP server has given the connection up, as it does at a CONNECT, and with it what the open answers need of it. Nothing
   * more is read.
   */
  handOver(socket: Duplex): void
}

/** Whether the answer is still to come, or on its way. */
export function isOpen(response: ServerResponse | undefined): response is ServerResponse {
  return response !== undefined && !response.writableFinished && !response.destroyed
}

/** `limit`: requests that wait, of all connections together. One read of a socket brings a few thousand at most. */
export function createTurns(limit: number): Turns {
  const latest = new WeakMap<Duplex, ServerResponse>()
  /** What came before each of those that wait. */
  const previous = new WeakMap<ServerResponse, ServerResponse>()
  /** How many wait, of each connection of which any do. */
  const waiting = new Map<Duplex, number>()
  let total = 0

  const enter = (socket: Duplex) => {
    total++
    const count = waiting.get(socket) ?? 0
    waiting.set(socket, count + 1)
    if (count > 0) return
    socket.on('resume', pauseAgain)
    socket.once('close', forget)
    // Not before the parser is through with the bytes that it has; nothing is read before that either.
    process.nextTick(() => pauseAgain.call(socket))
  }
  const leave = (socket: Duplex, count: number) => {
    total -= count
    const rest = waiting.get(socket)! - count
    if (rest > 0) return void waiting.set(socket, rest)
    waiting.delete(socket)
    socket.off('resume', pauseAgain)
    socket.off('close', forget)
  }
  // node:http resumes the socket whenever a message has ended, and whenever a request is read.
  function pauseAgain(this: Duplex): void {
    if (waiting.has(this)) this.pause()
  }
  function forget(this: Duplex): void {
    if (waiting.has(this)) leave(this, waiting.get(this)!)
  }

  return {
    take(socket, response, serve) {
      const before = latest.get(socket)
      latest.set(socket, response)
      if (!isOpen(before)) {
        // After an answer that says "close" nothing more is served (RFC 9112 §9.6).
        if (socket.writable) serve()
        return true
      }
      enter(socket)
      previous.set(response, before)
      before.once('close', () => {
        previous.delete(response)
        const isHttp = waiting.has(socket)
        if (isHttp) leave(socket, 1)
        if (!socket.writable) return
        serve()
        if (isHttp && !waiting.has(socket)) socket.resume()
      })
      return total <= limit
    },
    afterAll(socket, act) {
      const before = latest.get(socket)
      if (isOpen(before)) before.once('close', act)
      else act()
    },
    latest: (socket) => latest.get(socket),
    handOver(socket) {
      forget.call(socket)
      socket.on('drain', () => {
        for (let open = latest.get(socket); isOpen(open); open = previous.get(open))
          if (open.socket === socket && !open.writableEnded) open.emit('drain')
      })
    },
  }
}
