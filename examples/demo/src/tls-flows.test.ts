import { expect, test } from 'vitest'
import { type Segment, TlsFlows } from './tls-flows.ts'

const client = '10.0.0.1:40000'
const server = '10.0.0.2:15008'

function record(type: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type, 3, 3, body.length >> 8, body.length & 255]), body])
}

function serverHello(version: number): Buffer {
  const extension = Buffer.from([0, 43, 0, 2, version >> 8, version & 255])
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    Buffer.from([0, 0x13, 1, 0]),
    Buffer.from([0, extension.length]),
    extension,
  ])
  return record(22, Buffer.concat([Buffer.from([2, 0, 0, body.length]), body]))
}

const clientHello = record(22, Buffer.from([1, 0, 0, 2, 3, 3]))

/** A connection whose two sides say these pieces, each piece a segment. */
function play(flows: TlsFlows, said: readonly [toServer: boolean, payload: Buffer][]): void {
  const sequence = { true: 100, false: 0xffff_fff0 }
  const one = (toServer: boolean, syn: boolean, payload: Buffer): Segment => ({
    from: toServer ? client : server,
    to: toServer ? server : client,
    toServer,
    syn,
    sequence: sequence[`${toServer}`],
    payload,
  })
  for (const toServer of [true, false]) {
    flows.add(one(toServer, true, Buffer.alloc(0)))
    sequence[`${toServer}`]++
  }
  for (const [toServer, payload] of said) {
    flows.add(one(toServer, false, payload))
    sequence[`${toServer}`] = (sequence[`${toServer}`] + payload.length) % 2 ** 32
  }
}

test('TLS 1.3 is recognised, in records that segments cut anywhere', () => {
  const flows = new TlsFlows()
  const data = record(23, Buffer.alloc(3_000))
  play(flows, [
    [true, clientHello],
    [false, serverHello(0x0304)],
    [true, data.subarray(0, 3)],
    [true, data.subarray(3, 1_000)],
    [true, Buffer.concat([data.subarray(1_000), data])],
  ])
  expect(flows.summary()).toEqual({
    connections: 1,
    clientHellos: 1,
    serverHellos: 1,
    tls13: 1,
    records: 4,
    notTls: 0,
  })
})

test('TLS 1.2, plain HTTP, and plain text after a handshake are told apart', () => {
  const old = new TlsFlows()
  play(old, [
    [true, clientHello],
    [false, serverHello(0x0303)],
  ])
  expect(old.summary()).toMatchObject({ serverHellos: 1, tls13: 0 })
  const plain = new TlsFlows()
  play(plain, [[true, Buffer.from('GET / HTTP/1.1\r\n\r\n')]])
  expect(plain.summary()).toMatchObject({ connections: 1, clientHellos: 0, notTls: 1 })
  const late = new TlsFlows()
  play(late, [
    [true, clientHello],
    [true, Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ])
  expect(late.summary()).toMatchObject({ clientHellos: 1, notTls: 1 })
})

test('connections that were open before are not judged', () => {
  const flows = new TlsFlows()
  flows.add({ from: client, to: server, toServer: true, syn: false, sequence: 5, payload: Buffer.from('anything') })
  expect(flows.summary()).toMatchObject({ connections: 0, notTls: 0 })
})
