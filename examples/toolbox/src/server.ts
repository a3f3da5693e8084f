// One process that answers in every protocol that the scenes use, each on a port of its own:
// 8080 HTTP/1.1 and WebSocket, 8081 HTTP/2 without TLS, 9000 TCP echo, 9001 TCP that speaks first,
// 9002 gRPC, 9004 UDP echo. It knows nothing of the mesh.
import { createSocket } from 'node:dgram'
import { createServer as createHttp, type IncomingHttpHeaders } from 'node:http'
import { createServer as createHttp2 } from 'node:http2'
import { createServer as createTcp } from 'node:net'
import { hostname } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocketServer } from 'ws'
import { startGrpc } from './grpc.ts'

const name = process.env['POD_NAME'] ?? hostname()
const only = process.env['PORTS']?.split(',').map(Number)
const flakyEvery = Number(process.env['FLAKY'] ?? 0)
let served = 0

const wanted = (port: number): boolean => only === undefined || only.includes(port)
const listening = (what: string, port: number): void => console.log(`${what} listens on ${port}`)

interface Asked {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly remote: string
}

/** `/delay/MS`, `/status/CODE`, everything else echoes; with FLAKY=n every n-th answer is a 503. */
async function answer(asked: Asked): Promise<{ status: number; body: string }> {
  served++
  const delayMs = Number(/^\/delay\/(\d+)/.exec(asked.path)?.[1] ?? 0)
  if (delayMs > 0) await delay(delayMs)
  const status = Number(/^\/status\/(\d{3})/.exec(asked.path)?.[1] ?? 200)
  if (flakyEvery > 0 && served % flakyEvery === 0) return { status: 503, body: '{"error":"flaky"}' }
  return { status, body: JSON.stringify({ pod: name, served, ...asked }) }
}

if (wanted(8080)) {
  const http = createHttp((request, response) => {
    const asked = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      remote: request.socket.remoteAddress ?? '',
    }
    request.resume()
    answer(asked).then(({ status, body }) => {
      response.writeHead(status, { 'content-type': 'application/json', 'x-served-by': name })
      response.end(body)
    })
  })
  const sockets = new WebSocketServer({ server: http })
  sockets.on('connection', (socket) => {
    socket.on('message', (data, binary) => socket.send(data, { binary }))
    socket.on('error', () => socket.terminate())
  })
  http.listen(8080, () => listening('http', 8080))
}

if (wanted(8081)) {
  const http2 = createHttp2((request, response) => {
    const asked = {
      method: request.method,
      path: request.url,
      headers: request.headers,
      remote: request.socket.remoteAddress ?? '',
    }
    request.resume()
    answer(asked).then(({ status, body }) => {
      response.writeHead(status, { 'content-type': 'application/json', 'x-served-by': name })
      response.end(body)
    })
  })
  http2.on('sessionError', () => {})
  http2.listen(8081, () => listening('h2c', 8081))
}

if (wanted(9000)) {
  const echo = createTcp({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy())
    socket.pipe(socket)
  })
  echo.listen(9000, () => listening('tcp echo', 9000))
}

if (wanted(9001)) {
  const first = createTcp((socket) => {
    socket.on('error', () => socket.destroy())
    socket.write(`220 ${name} speaks first\r\n`)
    socket.on('data', (line) => socket.write(`250 ${line.toString('utf8').trim()}\r\n`))
  })
  first.listen(9001, () => listening('server-first tcp', 9001))
}

if (wanted(9002)) startGrpc(9002, name).then(() => listening('grpc', 9002))

if (wanted(9004)) {
  const udp = createSocket({ type: 'udp6', ipv6Only: false })
  udp.on('error', () => {
    const four = createSocket('udp4')
    four.on('message', (data, peer) => four.send(data, peer.port, peer.address))
    four.bind(9004)
  })
  udp.on('message', (data, peer) => udp.send(data, peer.port, peer.address))
  udp.bind(9004, () => listening('udp echo', 9004))
}

process.on('SIGTERM', () => process.exit(0))
