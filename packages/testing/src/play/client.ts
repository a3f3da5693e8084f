// Clients for pods, one verb a run, the outcome as a line of JSON:
//   tls HOST PORT NAME · greetings HOST PORT COUNT · expect 1|2 URL BYTES · stream 1|2 URL SECONDS
import http2 from 'node:http2'
import net from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import tls from 'node:tls'

export interface TlsOutcome {
  /** SHA-256 of the certificate that the server proved to have. */
  readonly fingerprint?: string
  readonly alpn?: string | false
  readonly heard?: string
  readonly error?: string
}

export interface Greetings {
  /** By what the server said first; "error: CODE" for a connection that it did not greet. */
  readonly heard: Readonly<Record<string, number>>
}

export interface ExpectOutcome {
  /** Interim responses and the final one, in their order. */
  readonly statuses: readonly number[]
  /** Milliseconds until the first of them. */
  readonly firstMs: number
  readonly sentBody: boolean
  readonly link?: string
  readonly body: string
  readonly error?: string
}

export interface StreamOutcome {
  readonly status: number
  readonly ticks: number
  /** How it ended: "open" when nobody ended it in time. */
  readonly end: string
  readonly ms: number
}

const [verb = '', ...words] = process.argv.slice(2)

function overTls(host: string, port: string, name: string): Promise<TlsOutcome> {
  return new Promise((resolve) => {
    const socket = tls.connect({
      host,
      port: Number(port),
      servername: name,
      rejectUnauthorized: false,
      ALPNProtocols: ['play'],
    })
    let heard = ''
    let proved: { fingerprint?: string; alpn?: string | false } = {}
    socket.on('secureConnect', () => {
      proved = { fingerprint: socket.getPeerCertificate().fingerprint256, alpn: socket.alpnProtocol ?? false }
      socket.write('hello')
    })
    socket.on('data', (data) => {
      heard += data.toString()
    })
    socket.on('end', () => resolve({ ...proved, heard }))
    socket.on('error', (error: NodeJS.ErrnoException) => resolve({ ...proved, error: error.code ?? error.message }))
  })
}

function greeting(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(port, host)
    let heard = ''
    socket.on('data', (data) => {
      heard += data.toString()
    })
    socket.on('end', () => resolve(heard.trim()))
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(`error: ${error.code}`))
    socket.setTimeout(10_000, () => socket.destroy(new Error('silent')))
  })
}

async function greetings(host: string, port: string, count: string): Promise<Greetings> {
  const heard: Record<string, number> = {}
  let left = Number(count)
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const text = await greeting(host, Number(port))
      heard[text] = (heard[text] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: 8 }, worker))
  return { heard }
}

/** By hand, so that it is seen exactly which responses come and when. A request without a body (0 bytes) expects nothing. */
function expectOne(url: URL, bytes: number): Promise<ExpectOutcome> {
  const statuses: number[] = []
  let [firstMs, sentBody, seen] = [-1, false, '']
  const started = Date.now()
  return new Promise((resolve) => {
    const socket = net.connect(Number(url.port), url.hostname)
    const finish = (error?: string): void => {
      const link = /^link: (.*)$/im.exec(seen)?.[1]
      // What follows the heads; in chunks, if it came so.
      const body = seen.split('\r\n\r\n').slice(statuses.length).join('')
      const more = { ...(link === undefined ? {} : { link }), ...(error === undefined ? {} : { error }) }
      resolve({ statuses, firstMs, sentBody, body, ...more })
    }
    const fields = bytes > 0 ? `Expect: 100-continue\r\nContent-Length: ${bytes}\r\n` : ''
    socket.write(
      `${bytes > 0 ? 'POST' : 'GET'} ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\n${fields}Connection: close\r\n\r\n`,
    )
    socket.on('data', (data) => {
      if (firstMs < 0) firstMs = Date.now() - started
      seen += data.toString('latin1')
      statuses.length = 0
      for (const [, status] of seen.matchAll(/^HTTP\/1\.1 (\d{3})/gm)) statuses.push(Number(status))
      if (statuses[0] !== 100 || sentBody) return
      sentBody = true
      socket.write(Buffer.alloc(bytes, 0x61))
    })
    socket.on('end', () => {
      socket.destroy()
      finish()
    })
    socket.on('error', (error) => finish(error.message))
  })
}

function expectTwo(url: URL, bytes: number): Promise<ExpectOutcome> {
  const statuses: number[] = []
  let [firstMs, sentBody, body] = [-1, false, '']
  let link: string | undefined
  const started = Date.now()
  return new Promise((resolve) => {
    const session = http2.connect(url.origin)
    const finish = (error?: string): void => {
      session.destroy()
      const more = { ...(link === undefined ? {} : { link }), ...(error === undefined ? {} : { error }) }
      resolve({ statuses, firstMs, sentBody, body, ...more })
    }
    session.on('error', (error) => finish(error.message))
    const stream = session.request(
      bytes > 0
        ? { ':method': 'POST', ':path': url.pathname, expect: '100-continue', 'content-length': String(bytes) }
        : { ':path': url.pathname },
      { endStream: bytes === 0 },
    )
    const seen = (headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader): void => {
      if (firstMs < 0) firstMs = Date.now() - started
      statuses.push(Number(headers[':status']))
      if (typeof headers['link'] === 'string') link = headers['link']
    }
    stream.on('headers', seen)
    stream.on('response', seen)
    stream.on('continue', () => {
      sentBody = true
      stream.end(Buffer.alloc(bytes, 0x61))
    })
    stream.on('data', (data: Buffer) => {
      body += data.toString()
    })
    // The response is whole, whatever becomes of the rest of the request.
    stream.on('end', () => finish())
    stream.on('error', (error) => finish(error.message))
  })
}

async function stream(version: string, url: URL, seconds: string): Promise<StreamOutcome> {
  const started = Date.now()
  const { promise, resolve } = Promise.withResolvers<string>()
  let [status, ticks] = [0, 0]
  if (version === '1') {
    const socket = net.connect(Number(url.port), url.hostname)
    socket.write(`GET ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`)
    socket.on('data', (data) => {
      const text = data.toString('latin1')
      status ||= Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0)
      ticks += text.split('tick').length - 1
    })
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.on('close', () => resolve('closed'))
  } else {
    const session = http2.connect(url.origin)
    session.on('error', (error) => resolve(error.message))
    const request = session.request({ ':path': url.pathname, 'content-type': 'application/grpc', te: 'trailers' })
    request.on('response', (headers) => {
      status = Number(headers[':status'])
    })
    request.on('data', (data: Buffer) => {
      ticks += data.toString().split('tick').length - 1
    })
    request.on('error', (error) => resolve(error.message))
    request.on('close', () => resolve(`closed with code ${request.rstCode}`))
  }
  const end = await Promise.race([promise, delay(Number(seconds) * 1_000, 'open')])
  return { status, ticks, end, ms: Date.now() - started }
}

const verbs: Readonly<Record<string, () => Promise<unknown>>> = {
  tls: () => overTls(words[0]!, words[1]!, words[2] ?? ''),
  greetings: () => greetings(words[0]!, words[1]!, words[2]!),
  expect: () => (words[0] === '1' ? expectOne : expectTwo)(new URL(words[1]!), Number(words[2] ?? 0)),
  stream: () => stream(words[0]!, new URL(words[1]!), words[2]!),
}

const outcome = await verbs[verb]!()
process.stdout.write(`${JSON.stringify(outcome)}\n`, () => process.exit(0))
