// The standard load: new HTTP/1.1 connections at a steady rate, a keep-alive connection, one HTTP/2 connection with
// concurrent requests, DNS look-ups and a TCP echo stream, all at once and without retries, for some seconds.
//   load HOST [--seconds 30] [--rate 100] [--streams] [--until-file PATH]
// With --streams also a WebSocket and a gRPC stream, each opened once. HOST runs server.ts. Prints one line of JSON with what was asked and what failed (with the first few reasons).
import { lookup } from 'node:dns/promises'
import { existsSync } from 'node:fs'
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import * as grpc from '@grpc/grpc-js'
import WebSocket from 'ws'
import { echoService } from './grpc.ts'
import { createHttpClient } from './http.ts'

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '30' },
    rate: { type: 'string', default: '100' },
    streams: { type: 'boolean', default: false },
    'until-file': { type: 'string' },
  },
})
const host = positionals[0] ?? 'toolbox'
const end = Date.now() + Number(values.seconds) * 1000
const over = (): boolean =>
  Date.now() >= end || (values['until-file'] !== undefined && existsSync(values['until-file']))

interface Count {
  asked: number
  ok: number
  readonly reasons: string[]
}
const counts: Record<string, Count> = {}

function note(kind: string, error: string | undefined): void {
  const count = (counts[kind] ??= { asked: 0, ok: 0, reasons: [] })
  count.asked++
  if (error === undefined) count.ok++
  else if (count.reasons.length < 5) count.reasons.push(`${new Date().toISOString()} ${error}`)
}

const problem = (outcome: { status?: number; error?: string }): string | undefined =>
  outcome.error ?? (outcome.status === 200 ? undefined : `status ${outcome.status}`)

async function newConnections(): Promise<void> {
  const client = createHttpClient({ keepAlive: false, timeoutMs: 10_000 })
  const rate = Number(values.rate)
  const began = Date.now()
  const open: Promise<void>[] = []
  let started = 0
  while (!over()) {
    // By the clock, so that a late turn catches up.
    for (; started < ((Date.now() - began) / 1000) * rate; started++) {
      open.push(client.get(`http://${host}:8080/new`).then((outcome) => note('newConnections', problem(outcome))))
    }
    if (open.length > 5_000) await Promise.all(open.splice(0, 4_000))
    await delay(20)
  }
  await Promise.all(open)
}

async function keepAlive(): Promise<void> {
  const client = createHttpClient({ keepAlive: true, timeoutMs: 10_000 })
  while (!over()) {
    note('keepAlive', problem(await client.get(`http://${host}:8080/kept`)))
    await delay(5)
  }
  client.close()
}

async function oneHttp2Connection(): Promise<void> {
  const open = (): ClientHttp2Session =>
    connectHttp2(`http://${host}:8081`).on('error', (error: Error) => note('http2', `session: ${error.message}`))
  let session = open()
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      if (session.destroyed && !session.closed) {
        note('http2', 'session is gone')
        return resolve()
      }
      // After a GOAWAY the next request goes on a new connection: it is its first try.
      if (session.closed) session = open()
      const stream = session.request({ ':path': '/h2' })
      let status: number | undefined
      stream.on('response', (fields) => {
        status = fields[':status']
      })
      stream.on('error', (error) => {
        note('http2', error.message)
        resolve()
      })
      stream.resume()
      stream.on('end', () => {
        note('http2', status === 200 ? undefined : `status ${status}`)
        resolve()
      })
      stream.end()
    })
  while (!over()) {
    await Promise.all([one(), one(), one(), one()])
    await delay(20)
  }
  session.close()
}

async function names(): Promise<void> {
  while (!over()) {
    await lookup(host).then(
      () => note('dns', undefined),
      (error: Error) => note('dns', error.message),
    )
    await delay(100)
  }
}

async function echo(): Promise<void> {
  const socket = connect({ host, port: 9000 })
  let heard = 0
  let broken: string | undefined
  socket.on('error', (error) => {
    broken = error.message
  })
  socket.on('close', () => {
    broken ??= 'closed'
  })
  socket.on('data', (data) => {
    heard += data.length
  })
  let sent = 0
  while (!over()) {
    if (broken !== undefined) {
      note('tcpEcho', broken)
      return
    }
    sent += 64
    socket.write(Buffer.alloc(64, 1))
    const before = Date.now()
    while (heard < sent && Date.now() - before < 10_000 && broken === undefined) await delay(5)
    note('tcpEcho', heard >= sent ? undefined : (broken ?? 'no echo in 10 s'))
    await delay(20)
  }
  socket.destroy()
}

/** One message after the other on a stream that is opened once; it ends with the first that is not answered. */
async function converse(kind: string, say: (text: string) => void, stream: NodeJS.EventEmitter): Promise<void> {
  let heard = 0
  let broken: string | undefined
  stream.on(kind === 'webSocket' ? 'message' : 'data', () => heard++)
  stream.on('error', (error: Error) => {
    broken ??= error.message
  })
  for (const event of ['close', 'end']) stream.on(event, () => (broken ??= `the stream has its ${event}`))
  for (let said = 1; !over(); said++) {
    if (broken === undefined) say(`message ${said}`)
    const before = Date.now()
    while (heard < said && Date.now() - before < 10_000 && broken === undefined) await delay(5)
    note(kind, heard >= said ? undefined : (broken ?? 'no answer in 10 s'))
    if (heard < said) return
    await delay(100)
  }
}

async function webSocket(): Promise<void> {
  const socket = new WebSocket(`ws://${host}:8080/`)
  const opened = await new Promise<boolean>((resolve) => {
    socket.once('open', () => resolve(true))
    socket.once('error', (error: Error) => {
      note('webSocket', error.message)
      resolve(false)
    })
  })
  if (opened) await converse('webSocket', (text) => socket.send(text), socket)
  socket.terminate()
}

async function grpcStream(): Promise<void> {
  const Client = grpc.makeClientConstructor(echoService, 'toolbox.Echo')
  const client = new Client(`${host}:9002`, grpc.credentials.createInsecure()) as unknown as {
    Chat(): grpc.ClientDuplexStream<string, string>
    close(): void
  }
  const call = client.Chat()
  await converse('grpcStream', (text) => call.write(text), call)
  call.cancel()
  client.close()
}

const streams = values.streams ? [webSocket(), grpcStream()] : []
await Promise.all([newConnections(), keepAlive(), oneHttp2Connection(), names(), echo(), ...streams])
const failed = Object.values(counts).reduce((sum, count) => sum + count.asked - count.ok, 0)
process.stdout.write(`${JSON.stringify({ failed, counts })}\n`, () => process.exit(0))
