// One command at a time: a lock that the kernel gives back when its holder ends, however it ends.
import { createHash } from 'node:crypto'
import { createServer, type Server } from 'node:net'
import { say, sleep } from './shell.ts'

/** Runs `work` while no other process of this machine runs one under the same name; says `waiting` if it has to wait. */
export async function withLock<T>(name: string, waiting: string, work: () => Promise<T>): Promise<T> {
  // An abstract socket: bound by one process at a time, without a file to leave behind.
  const address = `\0wishbone-${createHash('sha256').update(name).digest('hex').slice(0, 32)}`
  let lock = await listen(address)
  if (lock === undefined) say(waiting)
  while (lock === undefined) {
    await sleep(200)
    lock = await listen(address)
  }
  try {
    return await work()
  } finally {
    lock.close()
  }
}

function listen(address: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (cause: NodeJS.ErrnoException) =>
      cause.code === 'EADDRINUSE' ? resolve(undefined) : reject(cause),
    )
    server.listen(address, () => resolve(server))
  })
}
