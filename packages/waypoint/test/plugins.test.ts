// Plugins are loaded from a folder; the example is one.
import { mkdtemp, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createLogger } from '@wishbone/runtime/log'
import { afterEach, expect, test } from 'vitest'
import { pluginsFrom } from '../src/program/plugins.ts'
import { startWorld, to, type World } from './harness.ts'
import { ask, echo, httpBackend, raw, tcpBackend } from './servers.ts'

const log = createLogger({ program: 'test', sink: { write() {}, flush() {}, dropped: 0 } })
let world: World | undefined

afterEach(() => world?.waypoint.close())

test('the quota of examples/waypoint-plugin', async () => {
  process.env['QUOTA_PER_MINUTE'] = '2'
  const app = await echo('app')
  const folder = join(import.meta.dirname, '../../../examples/waypoint-plugin/src')
  world = await startWorld({ app: [app.port] }, [{ backends: [to('app')] }], { plugins: pluginsFrom(folder, log) })
  const answers = [await ask(world.port), await ask(world.port), await ask(world.port)]
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 429])
  expect(answers.map(({ headers }) => headers['x-quota-left'])).toEqual(['1', '0', undefined])
  await expect.poll(() => world?.accessLog.at(-1)).toMatchObject({ status: 429, quota: 'exceeded', detail: 'plugin' })
  app.close()
})

test('a module that is no plugin is named', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'plugins-'))
  await writeFile(join(folder, 'broken.mjs'), 'export const nothing = 1')
  await expect(startWorld({}, [], { plugins: pluginsFrom(folder, log) })).rejects.toThrow(
    /broken\.mjs has no default export/,
  )
})

test.each([
  ['a request', ''],
  ['a WebSocket', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'],
])('%s whose client leaves while a hook waits is over, and not forwarded', async (_what, headers) => {
  let forwarded = 0
  const app = await httpBackend((_request, response) => {
    forwarded++
    response.end()
  })
  const hook = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  world = await startWorld({ app: [app.port] }, [{ backends: [to('app')] }], {
    plugins: async (fastify) => {
      fastify.addHook('onRequest', async () => {
        reached.resolve()
        await hook.promise
      })
    },
  })
  const client = net.connect(world.port, '127.0.0.1')
  client.write(`GET / HTTP/1.1\r\nHost: h\r\n${headers}\r\n`)
  await reached.promise
  client.resetAndDestroy()
  await expect.poll(() => world?.waypoint.gateway.connections).toBe(0)
  hook.resolve()
  await expect.poll(() => world?.accessLog).toMatchObject([{ status: 0, reason: 'client-closed' }])
  expect(world.waypoint.active).toBe(0)
  expect(forwarded).toBe(0)
  app.close()
})

test('a drain waits for a request that a hook keeps, and for an answer that a plugin makes', async () => {
  const app = await echo('app')
  const reached = Promise.withResolvers<void>()
  let waiting = 0
  world = await startWorld({ app: [app.port] }, [{ backends: [to('app')] }], {
    plugins: async (fastify) => {
      fastify.addHook('onRequest', async (request, reply) => {
        if (++waiting === 2) reached.resolve()
        await delay(300)
        if (request.url === '/own') return reply.send('own')
      })
    },
  })
  const answers = Promise.all([ask(world.port), ask(world.port, { path: '/own' })])
  await reached.promise
  expect(world.waypoint.active).toBe(2)
  const drained = world.waypoint.drain(5_000)
  expect((await answers).map(({ status }) => status)).toEqual([200, 200])
  await drained
  expect(world.waypoint.active).toBe(0)
  app.close()
})

test('a hook that fails at a WebSocket that its backend took closes both sides', async () => {
  const closed = Promise.withResolvers<string>()
  const app = await tcpBackend((socket) => {
    socket.once('data', () => socket.write('HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'))
    socket.once('end', () => closed.resolve('closed'))
  })
  world = await startWorld({ app: [app.port] }, [{ backends: [to('app')] }], {
    plugins: async (fastify) => {
      fastify.addHook('onRequest', async (request) => {
        request.wishbone.onResponse(() => {
          throw new Error('a mistake')
        })
      })
    },
  })
  await raw(world.port, 'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  const late = new Promise((resolve) => setTimeout(resolve, 1_000, 'still open'))
  expect(await Promise.race([closed.promise, late])).toBe('closed')
  app.close()
})

test('what a plugin logs is JSON, whatever it is', async () => {
  const app = await echo('app')
  world = await startWorld({ app: [app.port] }, [{ backends: [to('app')] }], {
    plugins: async (fastify) => {
      fastify.addHook('onRequest', async (request) => {
        const fields: Record<string, unknown> = request.wishbone.logFields
        Object.assign(fields, {
          tenant: request.headers['x-tenant'],
          count: 1n,
          quota: 2,
          line: 'a\nb',
          nan: Number.NaN,
        })
      })
    },
  })
  expect(await ask(world.port)).toMatchObject({ status: 200 })
  await expect.poll(() => world?.accessLog).toMatchObject([{ count: '1', quota: 2, line: 'a\nb', nan: null }])
  expect(world.accessLog[0]).not.toHaveProperty('tenant')
  app.close()
})
