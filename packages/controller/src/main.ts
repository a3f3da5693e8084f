// The program `controller`.

import { startStatusServers } from '@wishbone/runtime/admin'
import { loadConnection } from '@wishbone/runtime/kube'
import { runProgram } from '@wishbone/runtime/lifecycle'
import { createLogger } from '@wishbone/runtime/log'
import { startController } from './controller.ts'
import { readControllerSettings } from './settings.ts'

const settings = readControllerSettings(process.env)
const log = createLogger({ program: 'controller', format: settings.logFormat, level: settings.logLevel })

await runProgram(
  async ({ signal }) => {
    const stack = new AsyncDisposableStack()
    const connection = await loadConnection(process.env)
    log.info('starting', { api: connection.server.origin, trustDomain: settings.trustDomain })
    const controller = stack.use(await startController(connection, settings, log))
    const { metrics, pending } = controller
    // Without its port there is no point in going on: the end of the process says so to the cluster.
    controller.xdsPort.catch((cause: unknown) => {
      if (!signal.aborted) throw cause
    })
    const port = settings.metricsPort
    const listen = settings.listenAddress === '' ? {} : { host: settings.listenAddress }
    stack.use(await startStatusServers({ ...listen, metrics, ready: pending, ports: { metrics: port, ready: port } }))
    return { [Symbol.asyncDispose]: () => stack.disposeAsync() }
  },
  { log, drainMs: 10_000 },
)
