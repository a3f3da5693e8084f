// What lies outside the cluster: an HTTP server in the fabric, under the name outside.example, and unix sockets that lead from the
// host to LoadBalancer Services.
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { createServer as createHttp } from 'node:http'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Context } from './controllers/index.ts'
import type { MachineEvent } from './sandbox.ts'
import { schemeOf } from './schemes.ts'
import { socketPath } from './socket-path.ts'
import type { Service } from './types.ts'

/** Answers every request with what it saw, so that a client outside the mesh can be told from one inside. */
export async function startOutside(addresses: readonly string[]): Promise<void> {
  for (const address of addresses) {
    const server = createHttp((request, response) => {
      request.resume()
      response.writeHead(200, { 'content-type': 'application/json', 'x-served-by': 'outside' })
      response.end(
        JSON.stringify({
          outside: true,
          path: request.url,
          headers: request.headers,
          remote: request.socket.remoteAddress,
        }),
      )
    })
    await new Promise<void>((resolve, reject) => {
      server.on('error', reject)
      server.listen(80, address, resolve)
    })
  }
}

function joinSockets(outer: Socket, ip: string, port: number): void {
  const inner = connect({ host: ip, port, allowHalfOpen: true })
  const end = (): void => {
    outer.destroy()
    inner.destroy()
  }
  for (const socket of [outer, inner]) {
    socket.on('error', end)
    socket.on('close', end)
  }
  outer.pipe(inner)
  inner.pipe(outer)
}

/** A unix socket for every TCP port of every LoadBalancer Service, announced as they come and go. UDP stays inside, and is told. */
export function publishLoadBalancers(
  { client, mirrors }: Pick<Context, 'client' | 'mirrors'>,
  folder: string,
  tell: (event: MachineEvent) => void,
): void {
  mkdirSync(folder, { recursive: true })
  const open = new Map<string, Server>()
  const inside = new Set<string>()
  const reconcile = (service: Service): void => {
    const { namespace = '', name } = service.metadata
    const ip = mirrors.services.get(namespace, name)?.status?.loadBalancer?.ingress?.[0]?.ip
    const live =
      service.spec.type === 'LoadBalancer' && ip !== undefined && mirrors.services.get(namespace, name) !== undefined
    const all = live ? (service.spec.ports ?? []) : []
    const ports = all.filter(({ protocol = 'TCP' }) => protocol === 'TCP')
    for (const { port } of all.filter(({ protocol }) => protocol === 'UDP')) {
      const text = `${namespace}/${name} port ${port}: udp://${ip}:${port}, from pods only`
      if (inside.has(text)) continue
      inside.add(text)
      tell({ event: 'note', text })
    }
    const prefix = `${namespace}_${name}_`
    for (const [key, server] of open) {
      if (!key.startsWith(prefix) || ports.some(({ port }) => port === Number(key.slice(prefix.length)))) continue
      server.close()
      open.delete(key)
      tell({ event: 'unpublish', namespace, service: name, port: Number(key.slice(prefix.length)) })
    }
    for (const servicePort of ports) {
      const { port } = servicePort
      const key = `${prefix}${port}`
      if (open.has(key) || !ip) continue
      // Socket paths are short; names are not.
      const socket = join(folder, `lb${open.size}-${port}-${Date.now().toString(36)}.sock`)
      if (existsSync(socket)) rmSync(socket)
      const server = createServer({ allowHalfOpen: true }, (outer) => {
        const now = mirrors.services.get(namespace, name)?.status?.loadBalancer?.ingress?.[0]?.ip
        if (now) joinSockets(outer, now, port)
        else outer.destroy()
      })
      server.listen(socketPath(socket), async () => {
        const scheme = await schemeOf(client, service, servicePort)
        if (open.get(key) === server) tell({ event: 'publish', namespace, service: name, port, scheme, socket })
      })
      open.set(key, server)
    }
  }
  mirrors.services.onChange((now, before) => reconcile((now ?? before)!))
  for (const service of mirrors.services.all()) reconcile(service)
}
