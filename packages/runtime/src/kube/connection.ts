// Where the Kubernetes API is and what a request to it must carry: the pod's own account, or a kubeconfig.
// In a pod this is three files and two variables; loading @kubernetes/client-node for them would cost each start 0.4 s
// and 80 MB (its config module pulls in all generated API classes), so it is loaded only for a kubeconfig, whose many
// ways to log in (exec plugins, OIDC, client certificates, proxies) it knows.
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import { isIPv6 } from 'node:net'

/** A burst of requests leaves few connections behind. */
const agentOptions = { keepAlive: true, maxFreeSockets: 4 }

export interface Prepared {
  readonly agent: http.Agent
  readonly headers: Readonly<Record<string, string>>
}

export interface Connection {
  /** Origin (and path prefix, if any) of the API server. */
  readonly server: URL
  /** Where it listens, if on a Unix socket. */
  readonly socketPath?: string
  /** Called before every request: credentials may have changed. */
  prepare(): Promise<Prepared>
  close(): void
}

const accountFolder = '/var/run/secrets/kubernetes.io/serviceaccount'
/** Kubelet renews a projected token when it has used 80 % of its life; a minute of delay is no problem. */
const rereadMs = 10_000

/** Uses KUBECONFIG if it is set, else the pod's service account, else ~/.kube/config. Throws when there is none of them. */
export async function loadConnection(
  env: NodeJS.ProcessEnv = process.env,
  folder = accountFolder,
): Promise<Connection> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env
  if ((env['KUBECONFIG'] ?? '') !== '') return kubeconfigConnection()
  if (host !== undefined && port !== undefined) return podConnection(host, port, folder)
  return kubeconfigConnection()
}

/** Where a path of the API is on a server that may have a path itself, as those behind a proxy do. */
export function urlOf(server: URL, path: string): URL {
  return new URL(server.pathname.replace(/\/$/, '') + path, server)
}

/** A connection with credentials that stay as they are; `tls` is for https. */
export function fixedConnection(server: string, token?: string, tls: https.AgentOptions = {}): Connection {
  const secure = server.startsWith('https:')
  const agent = secure ? new https.Agent({ ...agentOptions, ...tls }) : new http.Agent(agentOptions)
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return { server: new URL(server), prepare: async () => ({ agent, headers }), close: () => agent.destroy() }
}

/** A connection to a server on a Unix socket, which knows its clients by the socket's permissions. */
export function socketConnection(socketPath: string): Connection {
  return { ...fixedConnection('http://localhost'), socketPath }
}

function podConnection(host: string, port: string, folder: string): Connection {
  const plain = port === '80' || port === '8080' || port === '8001'
  const server = new URL(`${plain ? 'http' : 'https'}://${isIPv6(host) ? `[${host}]` : host}:${port}`)
  let read: { atMs: number; ca: string; prepared: Prepared } | undefined
  return {
    server,
    async prepare() {
      if (read !== undefined && performance.now() - read.atMs < rereadMs) return read.prepared
      try {
        const token = (await readFile(`${folder}/token`, 'utf8')).trim()
        const ca = plain ? '' : await readFile(`${folder}/ca.crt`, 'utf8')
        const agent =
          read !== undefined && read.ca === ca
            ? read.prepared.agent
            : plain
              ? new http.Agent(agentOptions)
              : new https.Agent({ ...agentOptions, ca })
        read = { atMs: performance.now(), ca, prepared: { agent, headers: { authorization: `Bearer ${token}` } } }
      } catch (cause) {
        if (read === undefined) throw new Error(`cannot read the service account's files in ${folder}`, { cause })
      }
      return read.prepared
    },
    close: () => read?.prepared.agent.destroy(),
  }
}

async function kubeconfigConnection(): Promise<Connection> {
  const { KubeConfig } = await import('@kubernetes/client-node/dist/config.js')
  const config = new KubeConfig()
  config.loadFromDefault()
  const cluster = config.getCurrentCluster()
  if (cluster === null) throw new Error('the kubeconfig has no current cluster; set KUBECONFIG or its current-context')
  if (cluster.server.startsWith('http:')) return fixedConnection(cluster.server, config.getCurrentUser()?.token)
  let last: { key: string; agent: http.Agent } | undefined
  return {
    server: new URL(cluster.server),
    async prepare() {
      const options: https.RequestOptions = {}
      await config.applyToHTTPSOptions(options)
      const headers = headersOf(options)
      if (cluster.proxyUrl !== undefined) return { agent: options.agent as http.Agent, headers }
      // Its own agent keeps no connection alive.
      const tls = pickTls(options)
      const key = JSON.stringify(tls)
      if (last === undefined || last.key !== key) {
        last?.agent.destroy()
        last = { key, agent: new https.Agent({ ...agentOptions, ...tls }) }
      }
      return { agent: last.agent, headers }
    },
    close: () => last?.agent.destroy(),
  }
}

function headersOf(options: https.RequestOptions): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(options.headers ?? {}))
    if (value !== undefined) headers[name.toLowerCase()] = String(value)
  if (typeof options.auth === 'string')
    headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`
  return headers
}

function pickTls(options: https.RequestOptions): https.AgentOptions {
  const { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = options
  const tls: Record<string, unknown> = { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername }
  return Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined && value !== null))
}
