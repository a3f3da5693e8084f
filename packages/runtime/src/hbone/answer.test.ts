// Answers that arrive together with what follows them.
import {
  encodeFrame,
  encodeHeaders,
  encodeRstStream,
  encodeSettings,
  errorCodes,
  flags,
  frameTypes,
} from '@wishbone/core/h2'
import { expect, test } from 'vitest'
import { connectHbone } from './client.ts'
import { pipeSocket } from './pipe.ts'
import { tcpPair, tlsPair } from './testing.ts'

test.each([errorCodes.noError, errorCodes.cancel])(
  'a short answer whose stream is closed with it (code %s) reaches the application',
  async (code) => {
    const [near, far] = await tlsPair()
    far.on('error', () => undefined)
    const client = connectHbone(near)
    // Not before the request: streams that were never opened may have no frames.
    far.once('data', () => far.write(encodeSettings([])))
    const opened = client.open('10.0.0.1:80', {})
    far.once('data', () =>
      far.write(
        Buffer.concat([
          encodeFrame(frameTypes.headers, flags.endHeaders, 1, encodeHeaders([[':status', '200']])),
          encodeFrame(frameTypes.data, 0, 1, Buffer.from('banner')),
          encodeFrame(frameTypes.data, flags.endStream, 1, new Uint8Array(0)),
          encodeRstStream(1, code),
        ]),
      ),
    )
    const [app, inner] = await tcpPair()
    const copy = pipeSocket(await opened, inner)
    let answer = ''
    app.on('data', (chunk: Buffer) => {
      answer += chunk.toString()
    })
    app.on('error', () => undefined)
    const result = await copy.done
    await expect.poll(() => answer).toBe('banner')
    expect(result).toMatchObject({ received: 6 })
    far.destroy()
    await client.closed
  },
)
