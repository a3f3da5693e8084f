// exec and port-forward over Kubernetes' WebSocket channel protocol: the first byte of each message is its channel.

import { KubeError, urlOf } from '@wishbone/runtime/kube'
import WebSocket from 'ws'
import { type KubeClient, tlsOptions } from './client.ts'

export interface ExecResult {
  /** The command's exit status. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface ExecOptions {
  readonly namespace: string
  readonly pod: string
  readonly container?: string
  readonly command: readonly string[]
  readonly onStdout?: (chunk: Buffer) => void
  readonly onStderr?: (chunk: Buffer) => void
  readonly stdin?: NodeJS.ReadableStream
}

interface ExitStatus {
  readonly status?: string
  readonly message?: string
  readonly details?: { readonly causes?: readonly { readonly reason?: string; readonly message?: string }[] }
}

function exitCodeOf(status: ExitStatus): number {
  if (status.status === 'Success') return 0
  const cause = status.details?.causes?.find((entry) => entry.reason === 'ExitCode')
  return cause?.message ? Number(cause.message) : 1
}

function openChannels(client: KubeClient, path: string, protocols: readonly string[]): WebSocket {
  const url = urlOf(new URL(client.config.server), path)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  return new WebSocket(url, [...protocols], {
    ...tlsOptions(client.config),
    headers: client.config.token ? { authorization: `Bearer ${client.config.token}` } : {},
  })
}

function refused(socket: WebSocket, reject: (error: Error) => void): void {
  socket.on('unexpected-response', (_request, response) => {
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    response.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8')
      let message = body
      try {
        message = (JSON.parse(body) as { message?: string }).message ?? body
      } catch {}
      reject(
        new KubeError(response.statusCode ?? 0, 'Refused', message || `the server answered ${response.statusCode}`),
      )
    })
  })
}

/** Runs a command in a container and collects what it says. Rejects when it could not be run at all. */
export function exec(client: KubeClient, options: ExecOptions): Promise<ExecResult> {
  const query = new URLSearchParams()
  for (const word of options.command) query.append('command', word)
  if (options.container) query.set('container', options.container)
  query.set('stdout', 'true')
  query.set('stderr', 'true')
  if (options.stdin) query.set('stdin', 'true')
  const path = `/api/v1/namespaces/${options.namespace}/pods/${options.pod}/exec?${query}`
  return new Promise((resolve, reject) => {
    const socket = openChannels(client, path, ['v5.channel.k8s.io', 'v4.channel.k8s.io'])
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    let exit: ExitStatus | undefined
    refused(socket, reject)
    socket.on('error', reject)
    socket.on('open', () => {
      const { stdin } = options
      stdin?.on('data', (chunk: Buffer | string) => socket.send(Buffer.concat([Buffer.from([0]), Buffer.from(chunk)])))
      stdin?.on('end', () => {
        if (socket.protocol.startsWith('v5')) socket.send(Buffer.from([255, 0]))
      })
    })
    socket.on('message', (data: Buffer) => {
      const payload = data.subarray(1)
      switch (data[0]) {
        case 1:
          if (options.onStdout) options.onStdout(payload)
          else stdout.push(payload)
          break
        case 2:
          if (options.onStderr) options.onStderr(payload)
          else stderr.push(payload)
          break
        case 3:
          exit = JSON.parse(payload.toString('utf8')) as ExitStatus
          break
      }
    })
    socket.on('close', (code, reason) => {
      if (!exit)
        return reject(
          new Error(
            `exec in ${options.namespace}/${options.pod} ended without a status (${code} ${reason.toString()})`,
          ),
        )
      if (exit.status !== 'Success' && !exit.details?.causes?.some((cause) => cause.reason === 'ExitCode')) {
        return reject(new Error(`exec in ${options.namespace}/${options.pod}: ${exit.message ?? 'failed'}`))
      }
      resolve({
        code: exitCodeOf(exit),
        stdout: Buffer.concat(stdout).toString('utf8'),
        stderr: Buffer.concat(stderr).toString('utf8'),
      })
    })
  })
}

/** One forwarded connection: `local` is joined to `port` of the pod. Resolves when it is over; rejects with the pod's error. */
export function forwardConnection(
  client: KubeClient,
  namespace: string,
  pod: string,
  port: number,
  local: NodeJS.ReadWriteStream,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = openChannels(client, `/api/v1/namespaces/${namespace}/pods/${pod}/portforward?ports=${port}`, [
      'v4.channel.k8s.io',
    ])
    refused(socket, reject)
    // The first message of each channel only repeats the port.
    const seen = new Set<number>()
    socket.on('error', reject)
    socket.on('open', () => {
      local.on('data', (chunk: Buffer) => socket.send(Buffer.concat([Buffer.from([0]), chunk])))
      local.on('end', () => socket.close(1000))
      local.on('error', () => socket.close(1000))
    })
    socket.on('message', (data: Buffer) => {
      const channel = data[0] ?? 0
      if (!seen.has(channel)) {
        seen.add(channel)
        return
      }
      if (channel === 0) local.write(data.subarray(1))
      else reject(new Error(data.subarray(1).toString('utf8')))
    })
    socket.on('close', () => {
      local.end()
      resolve()
    })
  })
}
