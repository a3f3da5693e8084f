// Joins TCP ports of the host's 127.0.0.1 to unix sockets of the sandbox. Runs outside the sandbox and knows no protocol.
import { connect, createServer, type Server, type Socket } from 'node:net'
import { socketPath as short } from './socket-path.ts'

export interface Relay extends AsyncDisposable {
  readonly port: number
}

function join(outside: Socket, socketPath: string): void {
  const inside = connect({ path: short(socketPath), allowHalfOpen: true })
  const end = (): void => {
    outside.destroy()
    inside.destroy()
  }
  outside.on('error', end)
  inside.on('error', end)
  outside.on('close', () => inside.destroy())
  inside.on('close', () => outside.destroy())
  outside.pipe(inside)
  inside.pipe(outside)
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' && address ? address.port : port)
    })
  })
}

/** Listens on 127.0.0.1:`port` (0 for any; if it is taken, any) and joins each connection to `socketPath`. */
export async function startRelay(port: number, socketPath: string): Promise<Relay> {
  const open = new Set<Socket>()
  const create = (): Server =>
    createServer({ allowHalfOpen: true }, (socket) => {
      open.add(socket)
      socket.on('close', () => open.delete(socket))
      join(socket, socketPath)
    })
  let server = create()
  let bound: number
  try {
    bound = await listen(server, port)
  } catch (cause) {
    if (port === 0 || (cause as NodeJS.ErrnoException).code === 'EINVAL') throw cause
    server = create()
    bound = await listen(server, 0)
  }
  return {
    port: bound,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
