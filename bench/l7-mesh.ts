// L7 through the mesh: HTTP from a pod to a Service on the other node, first at L4 (two ztunnels), then through a waypoint as well.
// Printed for comparison over time; it has no peer here and no floor.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Cluster, type PodObject, until } from '@wishbone/testing/cluster'
import { enrolled, readyPods, startWorld, waypointOf, withZtunnelEnvironment } from '@wishbone/testing/world'
import { cpuSeconds, median, need } from './tools.ts'

const objects = `apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio.io/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec:
  selector: { app: web }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  replicas: 1
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      nodeSelector: { kubernetes.io/hostname: node2 }
      containers: [{ name: web, image: bench/nginx, readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 } }]
---
apiVersion: v1
kind: Pod
metadata: { name: load, namespace: shop, labels: { app: load } }
spec:
  nodeSelector: { kubernetes.io/hostname: node1 }
  containers: [{ name: load, image: bench/sleep }]
`

const nginxConf = (
  folder: string,
): string => `worker_processes 1; daemon off; pid ${folder}/nginx.pid; error_log ${folder}/nginx.err;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 100000000; default_type text/plain;
  client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  server { listen 8080 backlog=4096; location / { return 200 "${'0123456789'.repeat(10)}"; } } }
`

interface Figures {
  readonly perSecond: number
  readonly cpuUs: number
  readonly p99Ms: number
}

async function measure(cluster: Cluster, load: PodObject, runs: number, seconds: number): Promise<Figures> {
  const script = fileURLToPath(new URL('report.lua', import.meta.url))
  const all: Figures[] = []
  for (let run = -1; run < runs; run++) {
    const words = ['packages/', '/src/main.ts']
    const before = cpuSeconds(...words)
    const result = await cluster.run(load, [
      'wrk',
      '-t1',
      '-c32',
      `-d${run < 0 ? 2 : seconds}s`,
      '-s',
      script,
      'http://web.shop/',
    ])
    const line = result.stdout.split('\n').find((candidate) => candidate.startsWith('{'))
    if (!line) throw new Error(`wrk said nothing usable: ${result.stdout}${result.stderr}`)
    const { requests, durationUs, errors, p99 } = JSON.parse(line) as {
      requests: number
      durationUs: number
      errors: number
      p99: number
    }
    if (errors > 0) throw new Error(`${errors} errors`)
    // The first run only warms up.
    if (run < 0) continue
    all.push({
      perSecond: requests / (durationUs / 1e6),
      cpuUs: ((cpuSeconds(...words) - before) / requests) * 1e6,
      p99Ms: p99 / 1000,
    })
  }
  const of = (field: keyof Figures): number => median(all.map((figures) => figures[field]))
  return { perSecond: of('perSecond'), cpuUs: of('cpuUs'), p99Ms: of('p99Ms') }
}

/** Always true: nothing here has a floor. */
export async function benchL7Mesh(runs: number, seconds: number): Promise<boolean> {
  need('wrk', 'nginx')
  const folder = mkdtempSync(join(tmpdir(), 'wishbone-bench-'))
  mkdirSync(join(folder, 'run'))
  writeFileSync(join(folder, 'nginx.conf'), nginxConf(join(folder, 'run')))
  const images = `  bench/nginx: { command: [nginx, -c, ${join(folder, 'nginx.conf')}] }\n  bench/sleep: { command: [sleep, infinity] }\n`
  await using world = await startWorld({
    objects,
    images,
    systemManifests: withZtunnelEnvironment(join(folder, 'system'), {}),
  })
  const { cluster } = world
  await enrolled(cluster, 'shop')
  await readyPods(cluster, 'shop', 'app=web')
  const [load] = (await readyPods(cluster, 'shop', 'app=load')) as [PodObject]
  const l4 = await measure(cluster, load, runs, seconds)
  await cluster.apply(waypointOf())
  await cluster.patch('services', 'shop', 'web', { metadata: { labels: { 'istio.io/use-waypoint': 'waypoint' } } })
  await readyPods(cluster, 'shop', 'gateway.networking.k8s.io/gateway-name=waypoint')
  await until(
    'the waypoint to serve',
    async () => (await cluster.run(load, ['curl', '-sf', '-m', '5', 'http://web.shop/'])).code === 0,
  )
  const l7 = await measure(cluster, load, runs, seconds)
  process.stdout.write('\nL7 through the mesh (HBONE), two nodes on these cores, 100 bytes, 32 connections, medians\n')
  for (const [name, figures] of [
    ['two ztunnels', l4],
    ['and a waypoint', l7],
  ] as const) {
    process.stdout.write(
      `  ${name.padEnd(16)}${figures.perSecond.toFixed(0).padStart(8)} requests/s  ${figures.cpuUs.toFixed(0).padStart(6)} µs of the mesh's processor time a request  p99 ${figures.p99Ms.toFixed(1)} ms\n`,
    )
  }
  return true
}
