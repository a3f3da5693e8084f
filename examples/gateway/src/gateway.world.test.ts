// The README's walk: as an unprivileged user start, ask, edit, ask again, break, read the message, delete, stop.
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import {
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'

const repository = resolve(import.meta.dirname, '../../..')
const nobody = 65_534
const isRoot = process.getuid?.() === 0
const folder = mkdtempSync(join(tmpdir(), 'wishbone-gateway-'))
const manifests = join(folder, 'manifests')
const state = join(folder, 'state')
const cli = ['--disable-warning=ExperimentalWarning', 'packages/cli/src/main.ts']

let gateway: ChildProcess
let backends: ChildProcess
let output = ''
let offset = 0

/** Root's own folders are hidden from others: the checkout and Node are mounted where the user may read them. */
const asNobody = `mount --bind "$1" "$3/repository" && mount --bind "$2" "$3/node" && cd "$3/repository" && shift 3 &&
exec setpriv --reuid ${nobody} --regid ${nobody} --clear-groups --no-new-privs "$@"`

function startGateway(): ChildProcess {
  const words = ['gateway', '-f', manifests, '--state', state, '--port-offset', String(offset)]
  const options = { cwd: repository, env: { PATH: process.env['PATH'], HOME: folder, PROXY_DRAIN_SECONDS: '20' } }
  if (!isRoot) return spawn(process.execPath, [...cli, ...words], options)
  for (const name of ['repository', 'node']) mkdirSync(join(folder, name))
  const node = join(folder, 'node', 'node')
  const places = [repository, dirname(process.execPath), folder]
  return spawn('unshare', ['--mount', 'sh', '-c', asNobody, 'sh', ...places, node, ...cli, ...words], options)
}

async function freePort(wanted = 0): Promise<number | undefined> {
  const server = createServer()
  const port = await new Promise<number | undefined>((accept) => {
    server.once('error', () => accept(undefined))
    server.listen(wanted, '127.0.0.1', () => accept((server.address() as { port: number }).port))
  })
  await new Promise((accept) => server.close(accept))
  return port
}

function edit(file: string, from: string, to: string): void {
  const path = join(manifests, file)
  const text = readFileSync(path, 'utf8')
  expect(text).toContain(from)
  writeFileSync(path, text.replace(from, to))
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

function ask(path: string, host = 'shop.localhost', scheme: 'http' | 'https' = 'http'): Promise<Answer> {
  const secure = scheme === 'https'
  const port = (secure ? 443 : 80) + offset
  const tls = secure ? { ca: readFileSync(join(folder, 'shop.pem')), servername: host } : {}
  const options = { host: '127.0.0.1', port, path, headers: { host }, agent: false, ...tls }
  return new Promise((accept, refuse) => {
    const message = (secure ? httpsRequest : httpRequest)(options, (response) => {
      let body = ''
      response.on('data', (chunk) => (body += String(chunk)))
      response.on('end', () => accept({ status: response.statusCode ?? 0, headers: response.headers, body }))
      response.on('error', refuse)
    })
    message.on('error', refuse)
    message.end()
  })
}

/** Another command of ours, as whoever runs the test. */
function wishbone(...words: string[]): Promise<{ readonly code: number; readonly text: string }> {
  const env = { ...process.env, KUBECONFIG: join(state, 'kubeconfig') }
  return new Promise((accept) =>
    execFile(process.execPath, [...cli, ...words], { cwd: repository, env }, (cause, stdout, stderr) =>
      accept({ code: Number(cause?.code ?? 0), text: stdout + stderr }),
    ),
  )
}

async function said(text: string | RegExp, timeoutMs = 30_000): Promise<void> {
  await expect.poll(() => output, { timeout: timeoutMs, interval: 50 }).toMatch(text)
}

async function answers(path: string, text: string): Promise<void> {
  const body = () => ask(path).then((answer) => answer.body)
  await expect.poll(body, { timeout: 15_000, interval: 50 }).toContain(text)
}

beforeAll(async () => {
  cpSync(join(import.meta.dirname, '../manifests'), manifests, { recursive: true })
  execFileSync('sh', [join(import.meta.dirname, '../certificate.sh'), manifests])
  const ports = await Promise.all([freePort(), freePort(), freePort()])
  for (const [index, port] of ports.entries()) edit('services.yaml', String(9001 + index), String(port))
  const [pages, orders, partner] = ports.map(String) as [string, string, string]
  const backend = join(import.meta.dirname, 'backend.mjs')
  backends = spawn(process.execPath, [backend, 'pages', pages, 'orders', orders, 'partner', partner], {
    stdio: 'ignore',
  })
  while (offset === 0 || !((await freePort(80 + offset)) && (await freePort(443 + offset))))
    offset = 10_000 + Math.floor(Math.random() * 20_000)
  if (isRoot)
    for (const name of ['.', ...readdirSync(folder, { recursive: true, encoding: 'utf8' })])
      chownSync(join(folder, name), nobody, nobody)
  gateway = startGateway()
  for (const stream of [gateway.stdout, gateway.stderr]) stream?.on('data', (chunk) => (output += String(chunk)))
})

afterAll(async () => {
  if (gateway.exitCode === null) {
    gateway.kill('SIGKILL')
    // Its programs notice.
    await delay(2_000)
  }
  backends.kill()
  rmSync(folder, { recursive: true, force: true })
})

test('it serves what the folder says, as a user without privileges', async () => {
  await said(/Ready after/, 90_000)
  await said(`default/edge http: http://127.0.0.1:${80 + offset}`)
  await said(`default/edge https: https://shop.localhost:${443 + offset}`)
  const facts = readFileSync(`/proc/${gateway.pid}/status`, 'utf8')
  expect(facts).toMatch(new RegExp(`^Uid:\\t${isRoot ? nobody : process.getuid?.()}\\t`, 'm'))
  expect(facts).toMatch(/^CapEff:\t0+$/m)
  expect(statSync(state).mode & 0o777).toBe(0o700)

  expect(JSON.parse((await ask('/')).body)).toEqual({ backend: 'pages', host: 'shop.localhost', path: '/' })
  const orders = await ask('/orders')
  expect(JSON.parse(orders.body)).toMatchObject({ backend: 'orders' })
  expect(orders.headers['x-shop']).toBe('orders')
  expect((await ask('/', 'shop.localhost', 'https')).body).toContain('"pages"')
  const partner = await ask('/partner/prices', 'localhost')
  expect(JSON.parse(partner.body)).toEqual({ backend: 'partner', host: 'partner.example', path: '/prices' })
  expect((await ask('/secure', 'localhost')).headers.location).toBe(`https://localhost:${443 + offset}/secure`)
})

test('statuses are those of a cluster', async () => {
  const status = await wishbone('status')
  expect(status).toMatchObject({ code: 0 })
  expect(status.text).toContain('Gateway default/edge: Accepted=True Programmed=True')
  const routes = await wishbone('get', 'httproutes')
  expect(routes.text).toMatch(/^partner .*Accepted=True ResolvedRefs=True/m)
  expect((await wishbone('logs', 'deployment/edge-wishbone')).text).toContain('"path":"/orders"')
})

test('an edit is in force at once; a mistake is told and changes nothing else', async () => {
  edit('routes.yaml', 'name: orders, port: 80', 'name: pages, port: 80')
  await answers('/orders', '"pages"')
  edit('routes.yaml', 'value: /orders', 'valeu: /orders')
  await said(
    /routes\.yaml:\d+: HTTPRoute shop: not applied: unknown field "spec\.rules\[1\]\.matches\[0\]\.path\.valeu"/,
  )
  expect((await ask('/orders')).headers['x-shop']).toBe('orders')
  edit('routes.yaml', 'valeu: /orders', 'value: /orders')
  edit('routes.yaml', 'name: pages, port: 80', 'name: nothing, port: 80')
  await said(/routes\.yaml:\d+: HTTPRoute shop: Service default\/nothing does not exist/)
  expect(await ask('/')).toMatchObject({ status: 500 })
  edit('routes.yaml', 'name: nothing, port: 80', 'name: pages, port: 80')
  await answers('/', '"pages"')
  await wishbone('delete', 'httproute', 'partner')
  await expect.poll(() => ask('/partner', 'localhost').then(({ status }) => status)).toBe(404)
})

test('a key that is not the certificate’s is told, and the other listener goes on', async () => {
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
  const path = join(manifests, 'certificate.yaml')
  const good = readFileSync(path, 'utf8')
  writeFileSync(path, good.replace(/tls\.key: .*/, `tls.key: ${Buffer.from(other).toString('base64')}`))
  await said(
    /gateway\.yaml:1: Gateway edge: listener https: .*tls\.key that does not belong to the certificate.*InvalidCertificateRef/,
  )
  await said(`no longer: default/edge https: https://shop.localhost:${443 + offset}`)
  expect((await ask('/')).status).toBe(200)
  const status = await wishbone('status')
  expect(status.code).toBe(1)
  expect(status.text).toMatch(/Gateway default\/edge: .* listener https: .*ResolvedRefs=False\(InvalidCertificateRef\)/)
  writeFileSync(path, good)
  await expect
    .poll(
      () =>
        ask('/', 'shop.localhost', 'https').then(
          ({ status }) => status,
          () => undefined,
        ),
      { timeout: 15_000 },
    )
    .toBe(200)
})

test('the pod of a Gateway that is deleted is gone within 5 s; it comes back with the Gateway', async () => {
  const began = performance.now()
  expect(await wishbone('delete', 'gateway', 'edge')).toMatchObject({ code: 0 })
  const pods = () => wishbone('get', 'pods', '-o', 'name').then(({ text }) => text)
  await expect.poll(pods, { timeout: 15_000, interval: 20 }).not.toContain('edge-wishbone')
  expect(performance.now() - began).toBeLessThan(5_000)
  await expect(ask('/')).rejects.toThrow()
  edit('gateway.yaml', 'kind: Gateway', 'kind: Gateway # again')
  await expect.poll(() => ask('/').catch(() => undefined), { timeout: 60_000, interval: 100 }).toBeDefined()
  await answers('/', '"pages"')
})

test('it lets what is open finish and leaves nothing behind', async () => {
  const open = ask('/slow')
  await delay(500)
  const exit = new Promise((accept) => gateway.once('exit', accept))
  gateway.kill('SIGINT')
  expect(await open).toMatchObject({ status: 200 })
  expect(await exit).toBe(0)
  await expect(ask('/')).rejects.toThrow()
  expect(readdirSync(state).sort()).toEqual(['logs', 'machine.log'])
})
