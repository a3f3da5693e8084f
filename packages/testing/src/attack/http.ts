// Attacks on an HTTP port behind a waypoint, run as a program in a pod: `node http.ts HOST PORT`. Prints one line of JSON:
// what was answered to each, and whether an honest request was served right after.
import net from 'node:net'
import { block, exchange, frame, preface, settings, uint32, Wire } from './wire.ts'

export interface HttpFinding {
  /** Statuses of all answers on the connection, in order; -1: closed without one. */
  readonly statuses: readonly number[]
  readonly closed: boolean
  readonly after: number
}

const [host = '', port = '80'] = process.argv.slice(2)
const lines = (...all: readonly string[]): Buffer => Buffer.from(all.join('\r\n'), 'latin1')
const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: server\r\n\r\n'

async function honestRequest(): Promise<number> {
  const { text } = await exchange(
    host,
    Number(port),
    lines('GET / HTTP/1.1', 'Host: server', 'Connection: close', '', ''),
  )
  return Number(/^HTTP\/1.1 (\d+)/.exec(text)?.[1] ?? 0)
}

const h1: Readonly<Record<string, Buffer>> = {
  lengthAndChunked: lines(
    'POST / HTTP/1.1',
    'Host: server',
    'Content-Length: 6',
    'Transfer-Encoding: chunked',
    '',
    '0',
    '',
    smuggled,
  ),
  twoLengths: lines(
    'POST / HTTP/1.1',
    'Host: server',
    'Content-Length: 0',
    `Content-Length: ${smuggled.length}`,
    '',
    smuggled,
  ),
  listOfLengths: lines('POST / HTTP/1.1', 'Host: server', 'Content-Length: 0, 5', '', smuggled),
  signedLength: lines('POST / HTTP/1.1', 'Host: server', 'Content-Length: +5', '', 'abcde', smuggled),
  bareLf: Buffer.from('GET / HTTP/1.1\nHost: server\n\n'),
  bareLfAfterHeader: Buffer.from(
    'POST / HTTP/1.1\r\nHost: server\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ),
  bareCr: Buffer.from('GET / HTTP/1.1\r\nHost: server\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n'),
  obsFold: lines('POST / HTTP/1.1', 'Host: server', 'Transfer-Encoding:', ' chunked', '', '0', '', smuggled),
  spaceBeforeColon: lines('POST / HTTP/1.1', 'Host: server', 'Transfer-Encoding : chunked', '', '0', '', smuggled),
  chunkedTwice: lines('POST / HTTP/1.1', 'Host: server', 'Transfer-Encoding: chunked, chunked', '', '0', '', smuggled),
  chunkedNotLast: lines(
    'POST / HTTP/1.1',
    'Host: server',
    'Transfer-Encoding: chunked, identity',
    '',
    '0',
    '',
    smuggled,
  ),
  badChunk: lines('POST / HTTP/1.1', 'Host: server', 'Transfer-Encoding: chunked', '', '0x5', 'abcde', '0', '', ''),
  hugeChunk: lines('POST / HTTP/1.1', 'Host: server', 'Transfer-Encoding: chunked', '', 'fffffffffffffffff', 'a', ''),
  http10Chunked: lines('POST / HTTP/1.0', 'Host: server', 'Transfer-Encoding: chunked', '', '0', '', smuggled),
  nulInHeader: Buffer.from('GET / HTTP/1.1\r\nHost: server\r\nX: a\0b\r\n\r\n'),
  noHost: lines('GET / HTTP/1.1', '', ''),
  hugeHeader: lines('GET / HTTP/1.1', 'Host: server', `X: ${'a'.repeat(200_000)}`, '', ''),
  manyHeaders: lines(
    'GET / HTTP/1.1',
    'Host: server',
    ...Array.from({ length: 20_000 }, (_, index) => `X-${index}: a`),
    '',
    '',
  ),
  hugeUri: lines(`GET /${'a'.repeat(200_000)} HTTP/1.1`, 'Host: server', '', ''),
  upgradeWithBody: lines(
    'GET / HTTP/1.1',
    'Host: server',
    'Connection: Upgrade',
    'Upgrade: websocket',
    `Content-Length: ${smuggled.length}`,
    '',
    smuggled,
  ),
  connectionListsLength: lines(
    'POST / HTTP/1.1',
    'Host: server',
    'Connection: content-length, close',
    'Content-Length: 5',
    '',
    'abcde',
  ),
  connect: lines('CONNECT 10.0.0.1:22 HTTP/1.1', 'Host: 10.0.0.1:22', '', ''),
}

const opened = (): Wire => new Wire(net.connect({ host, port: Number(port) }))
const request = (stream: number, more: Readonly<Record<string, string>> = {}, flags = 0x5) =>
  frame(1, flags, stream, block({ ':method': 'GET', ':scheme': 'http', ':path': '/', ':authority': 'server', ...more }))
const many = (count: number, make: (index: number) => Uint8Array): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, index) => make(index)))

/** Each ends with a GOAWAY, a closed connection, or an answer on stream 1. */
const h2: Readonly<Record<string, () => readonly Uint8Array[]>> = {
  rapidReset: () => [
    many(5_000, (index) => Buffer.concat([request(2 * index + 1), frame(3, 0, 2 * index + 1, uint32(8))])),
  ],
  continuationFlood: () => [request(1, {}, 0), many(20_000, () => frame(9, 0, 1, block({ x: 'a'.repeat(100) })))],
  settingsFlood: () => [many(20_000, () => frame(4, 0, 0, Buffer.from([0, 4, 0, 1, 0, 0])))],
  pingFlood: () => [many(20_000, () => frame(6, 0, 0, Buffer.alloc(8)))],
  crlfInHeader: () => [request(1, { x: 'a\r\nTransfer-Encoding: chunked' })],
  transferEncoding: () => [request(1, { 'transfer-encoding': 'chunked' })],
  wrongLength: () => [request(1, { 'content-length': '50' })],
  upperCaseName: () => [request(1, { 'X-Upper': 'a' })],
  twoPaths: () => [
    frame(
      1,
      5,
      1,
      Buffer.concat([block({ ':method': 'GET', ':scheme': 'http', ':path': '/' }), block({ ':path': '/b' })]),
    ),
  ],
  spaceInPath: () => [request(1, { ':path': '/ HTTP/1.1\r\nX: y' })],
  badFrame: () => [frame(0, 0, 0, Buffer.from('x'))],
}

const findings: Record<string, HttpFinding> = {}
for (const [name, bytes] of Object.entries(h1)) {
  const { closed, text } = await exchange(host, Number(port), bytes, 1_500)
  const statuses = [...text.matchAll(/HTTP\/1.1 (\d+)/g)].map((match) => Number(match[1]))
  findings[name] = { statuses: statuses.length > 0 ? statuses : [-1], closed, after: await honestRequest() }
}
for (const [name, make] of Object.entries(h2)) {
  const wire = opened().send(preface, settings, ...make())
  const seen = await wire.until(({ goaway, statuses, resets }) => {
    const answered = statuses[1] !== undefined || resets[1] !== undefined
    return goaway !== undefined || (answered && !/Flood|rapid/.test(name))
  })
  wire.destroy()
  const status = seen.statuses[1] ?? -1
  findings[`h2 ${name}`] = {
    statuses: [status],
    closed: seen.closed || seen.goaway !== undefined || seen.resets[1] !== undefined,
    after: await honestRequest(),
  }
}
process.stdout.write(`${JSON.stringify(findings)}\n`, () => process.exit(0))
