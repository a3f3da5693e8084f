import { expect, test } from 'vitest'
import { connectIn } from './index.ts'

test.each([65_536, 4_294_967_295, -1])(
  'a port that is none (%i) is refused once, and not again when the time is over',
  async (port) => {
    const unwatched: unknown[] = []
    const note = (cause: unknown) => void unwatched.push(cause)
    process.on('unhandledRejection', note)
    try {
      await expect(connectIn(undefined, { ip: '127.0.0.1', port, timeoutMs: 20 })).rejects.toMatchObject({
        code: 'ERR_SOCKET_BAD_PORT',
      })
      await new Promise((resolve) => setTimeout(resolve, 60))
    } finally {
      process.off('unhandledRejection', note)
    }
    expect(unwatched).toEqual([])
  },
)
