// Logs, commands in containers and connections to pods, in Kubernetes' WebSocket channel protocols (v5, v4: the first byte of a
// message is its channel). SPDY is not spoken: kubectl 1.31 and later does not need it.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex, Writable } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Execution, LogRequest, PodAccess } from '../../kubelet/access.ts'
import { ApiError, badRequest } from '../objects/errors.ts'
import { isTrue } from './request.ts'
import { toApiError } from './respond.ts'

export interface PodTarget {
  readonly namespace: string
  readonly name: string
  readonly query: URLSearchParams
}

/** GET pods/NAME/log */
export async function answerLogs(
  access: PodAccess,
  response: ServerResponse,
  { namespace, name, query }: PodTarget,
): Promise<void> {
  const abort = new AbortController()
  response.on('close', () => abort.abort())
  const number = (key: string): number | undefined => (query.get(key) === null ? undefined : Number(query.get(key)))
  const tailLines = number('tailLines')
  const limitBytes = number('limitBytes')
  const since = query.get('sinceTime')
  const sinceSeconds =
    number('sinceSeconds') ?? (since === null ? undefined : Math.max(0, (Date.now() - Date.parse(since)) / 1000))
  const container = query.get('container')
  const request: LogRequest = {
    follow: isTrue(query.get('follow')),
    previous: isTrue(query.get('previous')),
    timestamps: isTrue(query.get('timestamps')),
    signal: abort.signal,
    ...(container ? { container } : {}),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
    ...(sinceSeconds === undefined ? {} : { sinceSeconds }),
  }
  const stream = await access.logs(namespace, name, request)
  response.writeHead(200, { 'content-type': 'text/plain' })
  response.flushHeaders()
  stream.on('error', () => response.destroy())
  stream.pipe(response)
}

const server = new WebSocketServer({
  noServer: true,
  maxPayload: 16 * 1024 * 1024,
  handleProtocols: (offered) => {
    for (const protocol of ['v5.channel.k8s.io', 'v4.channel.k8s.io']) if (offered.has(protocol)) return protocol
    return false
  },
})

function checkProtocols(request: IncomingMessage, hint: string): void {
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((part) => part.trim())
  if ((request.headers.upgrade ?? '').toLowerCase() !== 'websocket')
    throw new ApiError(
      400,
      'BadRequest',
      `this needs a WebSocket; ${request.headers.upgrade ?? 'no upgrade'} is not spoken here: ${hint}`,
    )
  if (!offered.includes('v5.channel.k8s.io') && !offered.includes('v4.channel.k8s.io'))
    throw badRequest(
      `none of the protocols ${offered.join(', ') || '(none)'} is spoken here, only v5.channel.k8s.io and v4.channel.k8s.io: ${hint}`,
    )
}

function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<WebSocket> {
  return new Promise((resolve) => server.handleUpgrade(request, socket, head, resolve))
}

const stdinChannel = 0
const stdoutChannel = 1
const stderrChannel = 2
const statusChannel = 3
const resizeChannel = 4
const closeChannel = 255

function send(socket: WebSocket, channel: number, data: Buffer | string): void {
  if (socket.readyState === socket.OPEN) socket.send(Buffer.concat([Buffer.from([channel]), Buffer.from(data)]))
}

function exitStatus(code: number): object {
  if (code === 0) return { metadata: {}, status: 'Success' }
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: exit status ${code}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
  }
}

/** Writes, and reads no more messages until it has gone through. */
function writeSlowly(target: Writable, data: Buffer, socket: WebSocket): void {
  if (target.write(data)) return
  socket.pause()
  target.once('drain', () => socket.resume())
  target.once('close', () => socket.resume())
}

/** The whole of a stream as messages; back-pressure by the socket's own buffer. */
async function pump(source: AsyncIterable<Buffer | string>, socket: WebSocket, channel: number): Promise<void> {
  for await (const chunk of source) {
    send(socket, channel, Buffer.from(chunk))
    while (socket.bufferedAmount > 1024 * 1024 && socket.readyState === socket.OPEN)
      await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** exec: checks that the command can be run before the upgrade, so that refusals are plain answers. */
export async function answerExec(
  access: PodAccess,
  request: IncomingMessage,
  connection: { readonly socket: Duplex; readonly head: Buffer },
  { namespace, name, query }: PodTarget,
): Promise<void> {
  const command = query.getAll('command')
  if (command.length === 0) throw badRequest('you must specify at least 1 command for the container')
  const container = query.get('container')
  const tty = isTrue(query.get('tty'))
  checkProtocols(request, 'use kubectl 1.31 or later')
  const execution = await access.exec(namespace, name, { command, tty, ...(container ? { container } : {}) })
  let over = false
  void execution.exit.then(() => {
    over = true
  })
  connection.socket.once('close', () => {
    if (!over) execution.kill()
  })
  const socket = await upgrade(request, connection.socket, connection.head)
  await serveExecution(execution, socket, { wantsStdin: isTrue(query.get('stdin')), tty })
}

/** A message such as {"Width":80,"Height":24}; anything else is ignored. */
function resize(execution: Execution, payload: Buffer): void {
  try {
    const { Width, Height } = JSON.parse(payload.toString('utf8')) as { Width?: unknown; Height?: unknown }
    const valid = (size: unknown): size is number => Number.isInteger(size) && Number(size) > 0 && Number(size) < 65_536
    if (valid(Width) && valid(Height)) execution.resize?.(Width, Height)
  } catch {}
}

async function serveExecution(
  execution: Execution,
  socket: WebSocket,
  options: { readonly wantsStdin: boolean; readonly tty: boolean },
): Promise<void> {
  execution.stdin.on('error', () => {})
  if (!options.wantsStdin) execution.stdin.end()
  socket.on('error', () => {})
  socket.on('message', (data: Buffer) => {
    const payload = data.subarray(1)
    if (data[0] === stdinChannel && !execution.stdin.writableEnded) writeSlowly(execution.stdin, payload, socket)
    else if (data[0] === closeChannel && payload[0] === stdinChannel) execution.stdin.end()
    else if (data[0] === resizeChannel) resize(execution, payload)
  })
  const outputs = Promise.allSettled([
    pump(execution.stdout, socket, stdoutChannel),
    ...(options.tty ? [] : [pump(execution.stderr, socket, stderrChannel)]),
  ])
  const code = await execution.exit
  // A background child may keep the output open; what the command itself wrote has arrived by then.
  await Promise.race([outputs, new Promise((resolve) => setTimeout(resolve, 500))])
  send(socket, statusChannel, JSON.stringify(exitStatus(code)))
  socket.close(1000)
}

/** port-forward over `v4.channel.k8s.io`: two channels a port (data, error), each starting with the port as two bytes. */
export async function answerPortForward(
  access: PodAccess,
  request: IncomingMessage,
  connection: { readonly socket: Duplex; readonly head: Buffer },
  { namespace, name, query }: PodTarget,
): Promise<void> {
  checkProtocols(request, 'use wishbone port-forward')
  const ports = query
    .getAll('ports')
    .flatMap((text) => text.split(','))
    .map(Number)
  if (ports.length === 0 || ports.some((port) => !Number.isInteger(port) || port < 1 || port > 65_535))
    throw badRequest('query parameter "ports" is required: port numbers')
  const socket = await upgrade(request, connection.socket, connection.head)
  socket.on('error', () => {})
  const targets: (Duplex | undefined)[] = []
  const early = new Map<number, Buffer[]>()
  socket.on('message', (data: Buffer) => {
    const channel = data[0] ?? 0
    if (channel % 2 !== 0) return
    const target = targets[channel / 2]
    if (target === undefined) early.set(channel, [...(early.get(channel) ?? []), data.subarray(1)])
    else writeSlowly(target, data.subarray(1), socket)
  })
  socket.on('close', () => {
    for (const target of targets) target?.destroy()
  })
  await Promise.all(
    ports.map(async (port, index) => {
      const intro = Buffer.from([port & 0xff, port >> 8])
      send(socket, index * 2, intro)
      send(socket, index * 2 + 1, intro)
      try {
        const target = await access.connect(namespace, name, port)
        targets[index] = target
        target.on('error', () => {})
        for (const chunk of early.get(index * 2) ?? []) target.write(chunk)
        await pump(target, socket, index * 2)
      } catch (cause) {
        send(socket, index * 2 + 1, `${(cause as Error).message}`)
      }
    }),
  )
  socket.close(1000)
}

/** A refusal of an upgrade as a plain HTTP answer with a Status. */
export function refuseUpgrade(socket: Duplex, cause: unknown, log: (line: string) => void): void {
  const error = toApiError(cause, log)
  const body = JSON.stringify(error.status())
  if (!socket.writable) return
  socket.end(
    `HTTP/1.1 ${error.code} ${error.reason}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
}
