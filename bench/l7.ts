// L7: the waypoint program as a gateway against nginx on the same route (a header added, one backend), metrics and access log on:
// requests per second and processor time per request. Proxy on one core, upstream and generator on the other.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, openSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { cpuSeconds, median, need, printRows } from './tools.ts'

const body = '0123456789'.repeat(10)
const ports = { upstream: 19_001, nginx: 19_111, wishbone: 19_112 }

const upstreamConf = (
  folder: string,
): string => `worker_processes 1; daemon off; pid ${folder}/up.pid; error_log ${folder}/up.err;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 100000000; default_type text/plain;
  client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  server { listen 127.0.0.1:${ports.upstream} backlog=4096; location / { return 200 "${body}"; } } }
`

const proxyConf = (
  folder: string,
): string => `worker_processes 1; daemon off; pid ${folder}/proxy.pid; error_log ${folder}/proxy.err;
events { worker_connections 4096; }
http { keepalive_requests 100000000;
  client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  log_format json escape=json '{"time":"$time_iso8601","method":"$request_method","path":"$request_uri","status":"$status","bytes":"$body_bytes_sent","ms":"$request_time","agent":"$http_user_agent"}';
  access_log ${folder}/access.log json buffer=64k flush=1s;
  upstream up { server 127.0.0.1:${ports.upstream}; keepalive 64; keepalive_requests 100000000; }
  server { listen 127.0.0.1:${ports.nginx} backlog=4096;
    location /api { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header x-added yes; } } }
`

const wishboneConf = `listeners:
  - name: gateway/bench/gw/http
    protocol: PROTOCOL_HTTP
    gateway: { port: ${ports.wishbone} }
    hasRoutes: true
routes:
  - name: HTTPRoute/bench/api/0
    parents: [{ listener: gateway/bench/gw/http, hostnames: [{}] }]
    precedence: { namespace: bench, name: api }
    matches: [{ path: { prefix: /api } }]
    filters: [{ requestHeaders: { set: [{ name: x-added, value: "yes" }] } }]
    backends: [{ weight: 1, backend: { service: { namespace: bench, hostname: up.bench.svc.cluster.local, port: 80, protocol: PROTOCOL_HTTP } } }]
addresses:
  - service: { name: up, namespace: bench, hostname: up.bench.svc.cluster.local, ports: [{ servicePort: 80, targetPort: ${ports.upstream} }] }
  - workload:
      uid: Kubernetes//Pod/bench/up
      name: up
      namespace: bench
      addresses: [127.0.0.1]
      services: { "bench/up.bench.svc.cluster.local": { ports: [{ servicePort: 80, targetPort: ${ports.upstream} }] } }
`

async function untilListening(port: number, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error(`${child.spawnargs.join(' ')} ended with ${child.exitCode}`)
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port }, () => resolve(true))
      socket.on('error', () => resolve(false))
      setTimeout(() => socket.destroy(), 50)
    })
    if (open) return
    await delay(50)
  }
  throw new Error(`nothing listens on ${port}`)
}

interface Load {
  readonly perSecond: number
  readonly p99Us: number
  readonly total: number
}

function wrk(url: string, seconds: number): Promise<Load> {
  const script = fileURLToPath(new URL('report.lua', import.meta.url))
  return new Promise((resolve, reject) => {
    const child = spawn('taskset', ['-c', '1', 'wrk', '-t1', '-c32', `-d${seconds}s`, '-s', script, url], {
      stdio: ['ignore', 'pipe', 2],
    })
    let text = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8')
    })
    child.on('error', reject)
    child.on('close', () => {
      const line = text.split('\n').find((candidate) => candidate.startsWith('{'))
      if (!line) return reject(new Error(`wrk said nothing usable: ${text}`))
      const result = JSON.parse(line) as { requests: number; durationUs: number; errors: number; p99: number }
      if (result.errors > 0) return reject(new Error(`${result.errors} errors from ${url}`))
      resolve({ perSecond: result.requests / (result.durationUs / 1e6), p99Us: result.p99, total: result.requests })
    })
  })
}

async function measure(
  url: string,
  words: readonly string[],
  runs: number,
  seconds: number,
): Promise<{ perSecond: number; cpuUs: number; p99: number }> {
  await wrk(url, 2)
  const all: { perSecond: number; cpuUs: number; p99: number }[] = []
  for (let run = 0; run < runs; run++) {
    const before = cpuSeconds(...words)
    const load = await wrk(url, seconds)
    all.push({
      perSecond: load.perSecond,
      cpuUs: ((cpuSeconds(...words) - before) / load.total) * 1e6,
      p99: load.p99Us,
    })
  }
  return {
    perSecond: median(all.map((one) => one.perSecond)),
    cpuUs: median(all.map((one) => one.cpuUs)),
    p99: median(all.map((one) => one.p99)),
  }
}

/** True when every floor holds. */
export async function benchL7(runs: number, seconds: number): Promise<boolean> {
  need('wrk', 'nginx', 'taskset')
  const folder = mkdtempSync(join(tmpdir(), 'wishbone-bench-'))
  const children: ChildProcess[] = []
  const start = (core: number, words: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess => {
    const log = openSync(join(folder, `${children.length}.log`), 'a')
    const child = spawn('taskset', ['-c', String(core), ...words], {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...env },
    })
    children.push(child)
    return child
  }
  try {
    writeFileSync(join(folder, 'upstream.conf'), upstreamConf(folder))
    writeFileSync(join(folder, 'nginx.conf'), proxyConf(folder))
    writeFileSync(join(folder, 'wishbone.yaml'), wishboneConf)
    const upstream = start(1, ['nginx', '-c', join(folder, 'upstream.conf')])
    await untilListening(ports.upstream, upstream)
    const direct = await measure(`http://127.0.0.1:${ports.upstream}/api`, ['no such process'], runs, seconds)
    const nginx = start(0, ['nginx', '-c', join(folder, 'nginx.conf')])
    await untilListening(ports.nginx, nginx)
    const peer = await measure(`http://127.0.0.1:${ports.nginx}/api`, ['nginx'], runs, seconds)
    nginx.kill()
    const main = fileURLToPath(new URL('../packages/waypoint/src/main.ts', import.meta.url))
    const own = start(
      0,
      [process.execPath, '--disable-warning=ExperimentalWarning', main, '--config', join(folder, 'wishbone.yaml')],
      {
        LOG_FORMAT: 'json',
        MALLOC_TRIM_THRESHOLD_: '268435456',
        MALLOC_MMAP_THRESHOLD_: '33554432',
        MALLOC_TOP_PAD_: '4194304',
      },
    )
    await untilListening(ports.wishbone, own)
    const ours = await measure(
      `http://127.0.0.1:${ports.wishbone}/api`,
      ['packages/waypoint/src/main.ts'],
      runs,
      seconds,
    )
    return printRows('L7: a gateway on one core, HTTP/1.1, 100 bytes, 32 connections, medians', 'nginx', [
      {
        what: 'requests per second',
        ours: ours.perSecond,
        peer: peer.perSecond,
        base: direct.perSecond,
        unit: '/s',
        floor: 0.2,
      },
      { what: 'processor time per request', ours: ours.cpuUs, peer: peer.cpuUs, unit: 'µs' },
      { what: 'p99', ours: ours.p99, peer: peer.p99, base: direct.p99, unit: 'µs' },
    ])
  } finally {
    for (const child of children) child.kill()
  }
}
