// The socket at which the CNI plugin announces sandboxes (ambient wire §3.3): HTTP over a unix socket, POST /cmdadd.
// The answer comes when ztunnel has the pod, so that no process of it starts outside the mesh.
import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import http from 'node:http'
import { dirname } from 'node:path'
import { parseIp } from '@wishbone/core/ip'
import type { Logger } from '@wishbone/runtime/log'
import type { Sandbox } from '../agent.ts'

const bodyLimit = 64 << 10

/** Listens, in place of whatever was at the path. `add` rejects with what the plugin is to say. */
export async function listenCni(
  path: string,
  add: (sandbox: Sandbox) => Promise<void>,
  log: Logger,
): Promise<AsyncDisposable> {
  mkdirSync(dirname(path), { recursive: true })
  rmSync(path, { force: true })
  const server = http.createServer({ requestTimeout: 10_000 }, (request, response) => {
    handle(request, add).then(
      () => response.writeHead(200).end(),
      (cause: unknown) => {
        const message = cause instanceof Error ? cause.message : String(cause)
        const status = cause instanceof BadRequest ? cause.status : 500
        log.warn('a sandbox was refused', { status, error: message })
        response
          .writeHead(status, { 'content-type': 'text/plain', connection: 'close' })
          .end(`wishbone-node: ${message}\n`)
      },
    )
  })
  server.on('clientError', (error, socket) => {
    log.warn('a connection to the CNI socket is closed: bad request', { error: error.message })
    socket.destroy()
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  chmodSync(path, 0o600)
  return {
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
}

class BadRequest extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

async function handle(request: http.IncomingMessage, add: (sandbox: Sandbox) => Promise<void>): Promise<void> {
  if (request.url !== '/cmdadd') throw new BadRequest(404, 'there is only /cmdadd')
  if (request.method !== 'POST') throw new BadRequest(405, '/cmdadd takes POST')
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request) {
    length += (chunk as Buffer).length
    if (length > bodyLimit) throw new BadRequest(413, 'the request is too long')
    chunks.push(chunk as Buffer)
  }
  await add(parseSandbox(Buffer.concat(chunks).toString('utf8')))
}

/** Reads {"Netns","PodName","PodNamespace","IPs":[…]} and perhaps "PodUID"; an IP may be text or {"Address": text}, with or without a prefix length. */
export function parseSandbox(text: string): Sandbox {
  let body: Record<string, unknown>
  try {
    body = JSON.parse(text) as Record<string, unknown>
  } catch {
    throw new BadRequest(400, 'the request is not JSON')
  }
  const member = (name: string): string => {
    const value = body?.[name]
    if (typeof value !== 'string' || value === '') throw new BadRequest(400, `the request has no ${name}`)
    return value
  }
  const listed = Array.isArray(body?.['IPs']) ? (body['IPs'] as unknown[]) : []
  const ips = listed.map(ipOf).filter((ip) => ip !== undefined)
  const uid = body?.['PodUID']
  return {
    netns: member('Netns'),
    podName: member('PodName'),
    podNamespace: member('PodNamespace'),
    ips,
    ...(typeof uid === 'string' && uid !== '' ? { podUid: uid } : {}),
  }
}

function ipOf(value: unknown): string | undefined {
  const named = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  const text = typeof value === 'string' ? value : (named['Address'] ?? named['address'])
  if (typeof text !== 'string') return undefined
  const ip = text.replace(/\/\d+$/, '')
  return parseIp(ip) === undefined ? undefined : ip
}
