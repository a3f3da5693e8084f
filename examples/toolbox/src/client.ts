// One request in one protocol, its outcome as a line of JSON on standard output. Exit status 0 whenever the
// outcome is known, also when it is an error: the caller judges. Verbs:
//   http URL [--count N] [--header NAME:VALUE]... [--timeout MS] [--keep-alive] [--expect STATUS]
//   h2 URL [--count N] · tcp-first HOST PORT · tcp-echo HOST PORT BYTES · udp HOST PORT · ws URL · grpc HOST:PORT · dns NAME
import { createHash, randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { parseArgs } from 'node:util'
import * as grpc from '@grpc/grpc-js'
import WebSocket from 'ws'
import { echoService } from './grpc.ts'
import { createHttpClient } from './http.ts'

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    count: { type: 'string', default: '1' },
    concurrency: { type: 'string', default: '8' },
    header: { type: 'string', multiple: true, default: [] },
    timeout: { type: 'string', default: '15000' },
    'keep-alive': { type: 'boolean', default: false },
    // Exit status 1 unless this is the HTTP status.
    expect: { type: 'string' },
  },
})
const [verb = '', target = '', port = '', size = '65536'] = positionals
const timeoutMs = Number(values.timeout)
const headers = Object.fromEntries(
  values.header.map((line) => [line.slice(0, line.indexOf(':')).trim(), line.slice(line.indexOf(':') + 1).trim()]),
)

async function http(): Promise<unknown> {
  const client = createHttpClient({ keepAlive: values['keep-alive'], timeoutMs, headers })
  const total = Number(values.count)
  if (total === 1) return client.get(target)
  // Many: only what distributions are made of.
  const statuses: Record<string, number> = {}
  const servedBy: Record<string, number> = {}
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < total) {
      next++
      const outcome = await client.get(target)
      const status = String(outcome.status ?? outcome.error)
      statuses[status] = (statuses[status] ?? 0) + 1
      const pod = String(outcome.headers?.['x-served-by'] ?? 'unknown')
      servedBy[pod] = (servedBy[pod] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: Number(values.concurrency) }, worker))
  return { total, statuses, servedBy }
}

function h2(): Promise<unknown> {
  return new Promise((resolve) => {
    const session = connectHttp2(target)
    session.on('error', (error) => resolve({ error: error.message }))
    const total = Number(values.count)
    let done = 0
    let ok = 0
    for (let index = 0; index < total; index++) {
      const stream = session.request({ ':path': new URL(target).pathname, ...headers })
      stream.on('response', (fields) => {
        if (fields[':status'] === 200) ok++
      })
      stream.resume()
      stream.on('error', () => {})
      stream.on('close', () => {
        if (++done === total) {
          session.close()
          resolve({ total, ok })
        }
      })
    }
  })
}

function tcpFirst(): Promise<unknown> {
  return new Promise((resolve) => {
    const socket = connect({ host: target, port: Number(port) })
    let heard = ''
    socket.on('data', (data) => {
      heard += data.toString('utf8')
      if (heard.includes('250 ')) {
        socket.destroy()
        resolve({ heard: heard.trim().split('\r\n') })
      } else if (heard.endsWith('\r\n')) socket.write('hello\r\n')
    })
    socket.on('error', (error) => resolve({ error: error.message }))
    socket.on('end', () => resolve({ error: 'closed', heard }))
  })
}

function tcpEcho(): Promise<unknown> {
  const sent = randomBytes(Number(size))
  return new Promise((resolve) => {
    const socket = connect({ host: target, port: Number(port), allowHalfOpen: true })
    const hash = createHash('sha256')
    let received = 0
    socket.on('data', (data) => {
      received += data.length
      hash.update(data)
    })
    socket.on('end', () =>
      resolve({
        sent: sent.length,
        received,
        same: hash.digest('hex') === createHash('sha256').update(sent).digest('hex'),
      }),
    )
    socket.on('error', (error) => resolve({ error: error.message }))
    socket.end(sent)
  })
}

function udp(): Promise<unknown> {
  return new Promise((resolve) => {
    lookup(target).then(
      ({ address, family }) => {
        const socket = createSocket(family === 6 ? 'udp6' : 'udp4')
        socket.on('message', (data) => {
          socket.close()
          resolve({ heard: data.toString('utf8') })
        })
        socket.on('error', (error) => resolve({ error: error.message }))
        socket.send('datagram', Number(port), address)
      },
      (error: Error) => resolve({ error: error.message }),
    )
  })
}

function ws(): Promise<unknown> {
  return new Promise((resolve) => {
    const socket = new WebSocket(target, { headers })
    socket.on('open', () => socket.send('over the wire'))
    socket.on('message', (data) => {
      socket.close()
      resolve({ heard: data.toString() })
    })
    socket.on('error', (error) => resolve({ error: error.message }))
  })
}

async function callGrpc(): Promise<unknown> {
  const Client = grpc.makeClientConstructor(echoService, 'toolbox.Echo')
  const client = new Client(target, grpc.credentials.createInsecure()) as unknown as {
    Say(text: string, done: (error: grpc.ServiceError | null, reply?: string) => void): grpc.ClientUnaryCall
    Fail(text: string, done: (error: grpc.ServiceError | null, reply?: string) => void): grpc.ClientUnaryCall
    Count(text: string): grpc.ClientReadableStream<string>
    Chat(): grpc.ClientDuplexStream<string, string>
    close(): void
  }
  const trailers: Record<string, string> = {}
  const said = await new Promise<string>((resolve) => {
    const call = client.Say('hello', (error, reply) =>
      resolve(error ? `error ${error.code}: ${error.details}` : String(reply)),
    )
    call.on('status', (status) => {
      trailers['x-trailer-from'] = String(status.metadata.get('x-trailer-from')[0] ?? '')
    })
  })
  const counted = await new Promise<number>((resolve) => {
    let messages = 0
    const stream = client.Count('1000')
    stream.on('data', () => messages++)
    stream.on('error', () => resolve(-1))
    stream.on('end', () => resolve(messages))
  })
  const chatted = await new Promise<number>((resolve) => {
    let messages = 0
    const stream = client.Chat()
    stream.on('data', () => {
      messages++
      if (messages < 5) stream.write(`message ${messages}`)
      else stream.end()
    })
    stream.on('error', () => resolve(-1))
    stream.on('end', () => resolve(messages))
    stream.write('message 0')
  })
  const failed = await new Promise<string>((resolve) => {
    client.Fail('please', (error) => resolve(error ? `${error.code} ${error.details}` : 'no error'))
  })
  client.close()
  return { said, trailers, counted, chatted, failed }
}

const verbs: Record<string, () => Promise<unknown>> = {
  http,
  h2,
  'tcp-first': tcpFirst,
  'tcp-echo': tcpEcho,
  udp,
  ws,
  grpc: callGrpc,
  dns: () => lookup(target, { all: true }).catch((error: Error) => ({ error: error.message })),
}

const started = Date.now()
const chosen = verbs[verb]
if (!chosen) {
  console.error(`toolbox: unknown verb '${verb}'; one of ${Object.keys(verbs).join(', ')}`)
  process.exit(2)
}
const deadline = setTimeout(() => finish({ error: `nothing after ${timeoutMs} ms` }), timeoutMs + 1_000)

function finish(outcome: unknown): void {
  clearTimeout(deadline)
  process.stdout.write(`${JSON.stringify({ ms: Date.now() - started, ...(outcome as object) })}\n`, () =>
    process.exit(0),
  )
}
chosen().then(finish, (error: Error) => finish({ error: error.message }))
