import { duplexPair } from 'node:stream'
import { createLogger } from '@wishbone/runtime/log'
import { expect, test } from 'vitest'
import type { ListenerTable } from '../compile/index.ts'
import type { Connection } from '../server/connection.ts'
import { Passthrough, type PassthroughOptions } from './passthrough.ts'

test('a connection whose endpoint is being dialled is one that a drain waits for', async () => {
  const target = { load: { started: () => {}, cancelled: () => {} } }
  const [client, accepted] = duplexPair()
  const [upstream, endpoint] = duplexPair()
  const dialled = Promise.withResolvers<typeof upstream>()
  const passthrough = new Passthrough({
    endpoints: { pick: () => target, hasOther: () => false },
    dial: () => dialled.promise,
    authorizer: { forListener: () => 0, watch: () => () => {} },
    random: Math.random,
    metrics: { opened: () => ({ closed: () => {} }), refused: () => {} },
    log: createLogger({ program: 'p', sink: { write: () => {}, flush: () => {}, dropped: 0 } }),
  } as unknown as PassthroughOptions)
  const itself = { backends: [{ kind: 'service', weight: 1 }] }
  const listener = { name: 'tcp', protocol: 'tcp', bound: { kind: 'gateway' }, consumers: new Map(), tcp: null, itself }
  const connection = { destination: { kind: 'gateway' }, port: 80, clientIp: '10.0.0.1', clientPort: 1 }
  passthrough.carry(accepted, connection as unknown as Connection, listener as unknown as ListenerTable, '')
  expect(passthrough.active).toBe(1)
  dialled.resolve(upstream)
  client.resume().end()
  endpoint.resume().end()
  await expect.poll(() => passthrough.active).toBe(0)
})
