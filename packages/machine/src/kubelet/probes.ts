// Probes and lifecycle hooks, sent from the node's network namespace as a kubelet does.
import { request } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { request as requestTls } from 'node:https'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { connectIn } from '@wishbone/runtime/os'
import type { Container, HttpGetAction, ProbeHandler } from '../types.ts'

export interface ProbeTarget {
  /** Descriptor of the node's network namespace. */
  readonly nodeNetns: number
  readonly podIp: string
  readonly container: Container
  /** Runs a command in the container; its exit status and output. */
  readonly run: (command: readonly string[], timeoutMs: number) => Promise<{ code: number; output: string }>
}

export type ProbeResult = { readonly ok: true } | { readonly ok: false; readonly message: string }

const good: ProbeResult = { ok: true }
const bad = (message: string): ProbeResult => ({ ok: false, message })

export function portNumber(port: number | string, container: Container): number | undefined {
  if (typeof port === 'number') return port
  if (/^\d+$/.test(port)) return Number(port)
  return container.ports?.find((candidate) => candidate.name === port)?.containerPort
}

async function dial(
  target: ProbeTarget,
  host: string | undefined,
  port: number | string,
  timeoutMs: number,
): Promise<Socket> {
  const number = portNumber(port, target.container)
  if (number === undefined) throw new Error(`container ${target.container.name} has no port named '${port}'`)
  return connectIn(target.nodeNetns, { ip: host ?? target.podIp, port: number, timeoutMs })
}

async function httpGet(target: ProbeTarget, action: HttpGetAction, timeoutMs: number): Promise<ProbeResult> {
  const socket = await dial(target, action.host, action.port, timeoutMs)
  const secure = action.scheme?.toUpperCase() === 'HTTPS'
  const headers = Object.fromEntries((action.httpHeaders ?? []).map(({ name, value }) => [name, value]))
  return new Promise((resolve) => {
    const connection = secure ? connectTls({ socket, rejectUnauthorized: false }) : socket
    const message = (secure ? requestTls : request)(
      {
        createConnection: () => connection,
        host: target.podIp,
        path: action.path ?? '/',
        headers: { 'user-agent': 'kube-probe/wishbone', connection: 'close', ...headers },
        timeout: timeoutMs,
      },
      (response) => {
        response.resume()
        const status = response.statusCode ?? 0
        resolve(status >= 200 && status < 400 ? good : bad(`HTTP probe failed with statuscode: ${status}`))
        socket.destroy()
      },
    )
    message.on('timeout', () => message.destroy(new Error(`no answer in ${timeoutMs} ms`)))
    message.on('error', (cause) => {
      socket.destroy()
      resolve(bad(`Get "${action.path ?? '/'}" on port ${action.port}: ${cause.message}`))
    })
    message.end()
  })
}

/** gRPC health checking protocol, v1: SERVING is 1. */
async function grpcHealth(target: ProbeTarget, port: number, service: string, timeoutMs: number): Promise<ProbeResult> {
  const socket = await dial(target, undefined, port, timeoutMs)
  return new Promise((resolve) => {
    const session = connectHttp2('http://probe', { createConnection: () => socket })
    const end = (result: ProbeResult): void => {
      clearTimeout(timer)
      session.destroy()
      resolve(result)
    }
    const timer = setTimeout(() => end(bad(`no answer in ${timeoutMs} ms`)), timeoutMs)
    session.on('error', (cause) => end(bad(cause.message)))
    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('error', (cause) => end(bad(cause.message)))
    stream.on('end', () => {
      // Five bytes of frame, then field 1 (status) as a varint.
      const body = Buffer.concat(chunks)
      end(body[5] === 8 && body[6] === 1 ? good : bad('the gRPC health service does not say SERVING'))
    })
    const name = Buffer.from(service)
    const message = name.length > 0 ? Buffer.concat([Buffer.from([10, name.length]), name]) : Buffer.alloc(0)
    const frame = Buffer.alloc(5)
    frame.writeUInt32BE(message.length, 1)
    stream.end(Buffer.concat([frame, message]))
  })
}

/** One attempt. Never rejects. */
export async function attempt(handler: ProbeHandler, target: ProbeTarget, timeoutMs: number): Promise<ProbeResult> {
  try {
    if (handler.httpGet) return await httpGet(target, handler.httpGet, timeoutMs)
    if (handler.grpc) return await grpcHealth(target, handler.grpc.port, handler.grpc.service ?? '', timeoutMs)
    if (handler.tcpSocket) {
      const socket = await dial(target, handler.tcpSocket.host, handler.tcpSocket.port, timeoutMs)
      socket.destroy()
      return good
    }
    if (handler.exec) {
      const { code, output } = await target.run(handler.exec.command, timeoutMs)
      return code === 0 ? good : bad(`command exited with ${code}: ${output.slice(0, 500).trim()}`)
    }
    return good
  } catch (cause) {
    return bad((cause as Error).message)
  }
}
