// A server for pods, named by $NAME: 9001 greets first; 8443 TLS with $TLS_CERT and $TLS_KEY, HTTP/1.1 for who asks for that;
// 8080 HTTP/1.1 and 8081 HTTP/2 without TLS, with interim responses (`/continue`, `/refuse/STATUS`, `/hints`) and a body without an end (`/stream`);
// every other path echoes the request.
import http, { type IncomingMessage } from 'node:http'
import http2, { type Http2ServerRequest } from 'node:http2'
import net from 'node:net'
import tls from 'node:tls'

/** What any path answers that means nothing else. */
export interface PlaysServer {
  readonly server: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** That the client asked for; absent where it spoke no TLS. */
  readonly tlsName?: string | false
  /** Bytes of the request's body. */
  readonly bytes: number
}

type Request = IncomingMessage | Http2ServerRequest
/** What HTTP/1.1 and HTTP/2 have in common. */
interface Response {
  writeEarlyHints(hints: Record<string, string>): unknown
  writeContinue(): unknown
  writeHead(status: number, headers: Record<string, string>): unknown
  write(text: string): unknown
  end(text: string): unknown
  on(event: 'close', listener: () => void): unknown
}

const name = process.env['NAME'] ?? 'server'
/** How long it takes to say 100: a proxy that says so itself is quicker. */
const thinkMs = 300

function echo(request: Request, response: Response): void {
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  request.on('end', () => {
    const { url: path, headers } = request
    const status = Number(/^\/status\/(\d{3})/.exec(path ?? '')?.[1] ?? 200)
    response.writeHead(status, { 'content-type': 'application/json' })
    const { servername: tlsName } = request.socket as tls.TLSSocket
    response.end(JSON.stringify({ server: name, path, headers, tlsName, bytes }))
  })
}

function serve(request: Request, response: Response): void {
  request.on('error', () => undefined)
  const path = request.url ?? ''
  if (path === '/hints') response.writeEarlyHints({ link: '</style.css>; rel=preload' })
  if (path !== '/stream') {
    echo(request, response)
    return
  }
  response.writeHead(200, { 'content-type': 'text/plain' })
  const timer = setInterval(() => response.write('tick\n'), 100)
  response.on('close', () => clearInterval(timer))
}

function serveExpectation(request: Request, response: Response): void {
  const refused = /^\/refuse\/(\d{3})/.exec(request.url ?? '')
  setTimeout(() => {
    if (refused !== null) {
      response.writeHead(Number(refused[1]), { 'content-type': 'text/plain' })
      response.end('no')
      return
    }
    response.writeContinue()
    serve(request, response)
  }, thinkMs)
}

net
  .createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.end(`220 ${name}\r\n`)
  })
  .listen(9001)

const one = http.createServer(serve)
one.on('checkContinue', serveExpectation)
one.listen(8080)
const two = http2.createServer(serve)
two.on('checkContinue', serveExpectation)
two.on('sessionError', () => undefined)
two.listen(8081)

const { TLS_CERT: cert, TLS_KEY: key } = process.env
if (cert && key) {
  const secure = tls.createServer({ cert, key, ALPNProtocols: ['play', 'http/1.1'] }, (socket) => {
    socket.on('error', () => socket.destroy())
    if (socket.alpnProtocol === 'http/1.1') {
      one.emit('connection', socket)
      return
    }
    socket.once('data', (data) => socket.end(`${name} heard ${data.toString()} for ${String(socket.servername)}`))
  })
  secure.on('tlsClientError', () => undefined)
  secure.listen(8443)
}

process.on('SIGTERM', () => process.exit(0))
