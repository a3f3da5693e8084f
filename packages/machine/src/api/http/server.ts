// The API server: one handler behind plain HTTP on the admin socket, HTTPS on a unix socket (for the relay of the kubeconfig)
// and HTTPS on the cluster's own addresses.
import { chmodSync, rmSync } from 'node:fs'
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { ListenOptions } from 'node:net'
import type { Duplex } from 'node:stream'
import type { PodAccess } from '../../kubelet/access.ts'
import { socketPath } from '../../socket-path.ts'
import {
  type Authenticate,
  administrator,
  bearerAuthentication,
  impersonated,
  staticTokenUser,
} from '../access/authenticate.ts'
import { createAdminToken, createServingCredentials, writeKubeconfig } from '../access/credentials.ts'
import { createDefaultRoles } from '../access/rbac.ts'
import { Tokens } from '../access/tokens.ts'
import { installAdmission } from '../kinds/admission.ts'
import { startCollector } from '../kinds/collector.ts'
import { startCustomResources } from '../kinds/custom-resources.ts'
import { Api } from '../objects/api.ts'
import { badRequest, noSuchPath } from '../objects/errors.ts'
import { attemptOf, authorize, handle, type Services } from './handler.ts'
import { parseResourcePath } from './request.ts'
import { answerExec, answerPortForward, refuseUpgrade } from './streams.ts'

export interface ApiServerOptions {
  /** `<stateDir>/kubeconfig` is written; keys stay in memory. */
  readonly stateDir: string
  /** The local port that the kubeconfig names. */
  readonly apiPort: number
  /** Plain HTTP; whoever can open it is the administrator (mode 0600). */
  readonly adminSocket: string
  readonly tlsSocket: string
  readonly addresses: readonly { readonly host: string; readonly port: number }[]
  /** Names and addresses for the serving certificate besides the usual ones. */
  readonly names: readonly string[]
  readonly access: PodAccess
  readonly log: (line: string) => void
}

export interface ApiServer {
  readonly caPem: string
  /** For tests and for parts of the machine in the same process. */
  readonly api: Api
  close(): Promise<void>
}

/** Resolves when every socket listens. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const api = new Api()
  installAdmission(api)
  startCustomResources(api, options.log)
  const stopCollector = startCollector(api, options.log)
  createDefaultRoles(api)

  const credentials = createServingCredentials(options.names)
  const adminToken = createAdminToken()
  const staticUser = staticTokenUser(adminToken)
  const tokens = new Tokens(api)
  const services: Services = { api, tokens, staticUser, access: options.access, log: options.log }
  const bearer = bearerAuthentication(tokens, staticUser)
  const asAdministrator: Authenticate = async (request) => impersonated(request, administrator)

  const admin = createHttpServer()
  const tls = (): Server =>
    createHttpsServer({
      key: credentials.keyPem,
      cert: credentials.certPem,
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['http/1.1'],
    })
  const servers: Server[] = []
  const listen = async (server: Server, authenticate: Authenticate, where: ListenOptions): Promise<void> => {
    servers.push(server)
    serve(server, services, authenticate)
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(where, resolve)
    })
    server.on('error', (cause) => options.log(`API server: ${cause.message}`))
  }
  for (const path of [options.adminSocket, options.tlsSocket]) rmSync(path, { force: true })
  await listen(admin, asAdministrator, { path: socketPath(options.adminSocket) })
  chmodSync(options.adminSocket, 0o600)
  await listen(tls(), bearer, { path: socketPath(options.tlsSocket) })
  for (const { host, port } of options.addresses) await listen(tls(), bearer, { host, port })
  writeKubeconfig(options.stateDir, { port: options.apiPort, caPem: credentials.caPem, token: adminToken })

  return {
    caPem: credentials.caPem,
    api,
    async close() {
      stopCollector()
      for (const server of servers) {
        server.closeAllConnections()
        await new Promise<void>((resolve) => server.close(() => resolve()))
      }
    },
  }
}

function serve(server: Server, services: Services, authenticate: Authenticate): void {
  server.keepAliveTimeout = 120_000
  // Watches and followed logs are requests without an end.
  server.requestTimeout = 0
  server.on('request', (request, response) => void handle(services, authenticate, request, response))
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => {})
    answerUpgrade(services, authenticate, request, { socket, head }).catch((cause: unknown) =>
      refuseUpgrade(socket, cause, services.log),
    )
  })
  server.on('clientError', (_cause, socket) => socket.destroy())
}

async function answerUpgrade(
  services: Services,
  authenticate: Authenticate,
  request: IncomingMessage,
  connection: { readonly socket: Duplex; readonly head: Buffer },
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://api')
  const user = await authenticate(request)
  const info = parseResourcePath(request.method ?? 'GET', url.pathname, url.searchParams)
  if (info === undefined || info.group !== '' || info.version !== 'v1' || info.plural !== 'pods') throw noSuchPath()
  // Who runs commands creates something, whatever the method of the upgrade.
  const attempt = attemptOf({ ...info, verb: 'create' }, url.searchParams)
  authorize(services, user, attempt)
  const { namespace = '', name = '', subresource } = info
  services.api.get(services.api.resource('/pods'), namespace, name)
  const target = { namespace, name, query: url.searchParams }
  if (subresource === 'exec') await answerExec(services.access, request, connection, target)
  else if (subresource === 'portforward') await answerPortForward(services.access, request, connection, target)
  else throw badRequest(`pods/${subresource} is not served on this machine; exec, log and portforward are`)
}
