// Attacks on the node agent's sockets, run as a program in its pod: `node agent.ts`. Prints one line of JSON: the status of
// each CNI request (0: closed without an answer), and for ZDS whether the agent closed the connection.
import http from 'node:http'
import net from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { connectSeqpacket } from '@wishbone/runtime/os'

const cniSocket = '/var/run/wishbone-cni/cni.sock'
const zdsSocket = '/var/run/ztunnel/ztunnel.sock'

export interface AgentFindings {
  readonly cni: Readonly<Record<string, { readonly status: number; readonly text: string }>>
  readonly zds: Readonly<Record<string, { readonly closed: boolean }>>
}

function post(body: string | Buffer, path = '/cmdadd', method = 'POST'): Promise<{ status: number; text: string }> {
  return new Promise((resolve) => {
    const request = http.request({ socketPath: cniSocket, method, path, timeout: 10_000 }, async (response) => {
      let text = ''
      for await (const chunk of response) text += String(chunk)
      resolve({ status: response.statusCode ?? 0, text: text.slice(0, 200) })
    })
    request.on('error', (cause) => resolve({ status: 0, text: cause.message }))
    request.on('timeout', () => request.destroy(new Error('no answer')))
    request.end(body)
  })
}

function raw(bytes: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve) => {
    const socket = net.connect(cniSocket)
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve({ status: Number(/ (\d{3}) /.exec(text)?.[1] ?? 0), text: text.slice(0, 200) }))
    socket.write(bytes)
    setTimeout(() => socket.destroy(), 1_000)
  })
}

async function zds(packets: readonly Buffer[]): Promise<{ closed: boolean }> {
  let closed = false
  const connection = connectSeqpacket(zdsSocket, {
    onPacket: () => undefined,
    onClose: () => {
      closed = true
    },
  })
  for (const packet of packets) {
    try {
      connection.send(packet)
    } catch {
      break
    }
  }
  for (let waited = 0; !closed && waited < 2_000; waited += 20) await delay(20)
  if (!closed) connection.close(new Error('done'))
  return { closed }
}

const sandbox = (members: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({ Netns: '/proc/self/ns/net', PodName: 'nobody', PodNamespace: 'shop', IPs: [], ...members })
const hello = Buffer.from([8, 1])

const findings: AgentFindings = {
  cni: {
    notJson: await post('{"Netns": '),
    notAnObject: await post('[1, 2]'),
    null: await post('null'),
    nothing: await post(''),
    wrongTypes: await post(sandbox({ PodName: { a: 1 } })),
    prototype: await post('{"__proto__": {"Netns": "a", "PodName": "b", "PodNamespace": "c"}}'),
    huge: await post(Buffer.alloc(8 << 20, 0x20)),
    unknownPod: await post(sandbox({})),
    traversal: await post(sandbox({ PodName: '../../../nodes/node1', Netns: '/etc/passwd' })),
    otherPath: await post('{}', '/cmddel'),
    otherMethod: await post('', '/cmdadd', 'GET'),
    notHttp: await raw('\u0000\u0001\u0002 garbage\r\n\r\n'),
    hugeHeader: await raw(`POST /cmdadd HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(100_000)}\r\n\r\n`),
    lengthTwice: await raw(
      'POST /cmdadd HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}',
    ),
  },
  zds: {
    garbage: await zds([Buffer.alloc(200, 0xff)]),
    wrongVersion: await zds([Buffer.from([8, 9])]),
    ackOfNothing: await zds([hello, Buffer.from([0x0a, 0]), Buffer.from([0x0a, 0]), Buffer.from([0x0a, 0])]),
    garbageAck: await zds([hello, Buffer.alloc(900, 0xee)]),
  },
}
process.stdout.write(`${JSON.stringify(findings)}\n`, () => process.exit(0))
