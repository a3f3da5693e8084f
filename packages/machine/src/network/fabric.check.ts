// The body of fabric.root.test.ts: run inside a network namespace of its own, says what can reach what.
import { createServer, type Server } from 'node:net'
import { connectIn, listenIn } from '@wishbone/runtime/os'
import type { EndpointSlice, Service } from '../types.ts'
import { createNode, setUpFabric } from './fabric.ts'
import { addressPlan } from './plan.ts'
import { serviceRules } from './services.ts'

const plan = addressPlan(process.argv[2] as 'ipv4' | 'dual' | 'ipv6')
setUpFabric(plan)
const one = createNode(plan, 1, { ipv6InPods: true })
const two = createNode(plan, 2, { ipv6InPods: true })
const a = one.connectPod()
const b = two.connectPod()

const servers: Server[] = []
function serve(netns: number | undefined, ip: string, name: string): void {
  const server = createServer((socket) => socket.end(name))
  server.listen({ fd: listenIn(netns, { ip, port: 8080 }) })
  servers.push(server)
}

async function ask(netns: number | undefined, ip: string, port = 8080): Promise<string | undefined> {
  try {
    const socket = await connectIn(netns, { ip, port, timeoutMs: 2_000 })
    let heard = ''
    for await (const chunk of socket) heard += String(chunk)
    return heard
  } catch {
    return undefined
  }
}

const last = plan.families.length - 1
const ipOf = (link: { readonly ips: readonly string[] }): string => link.ips[last] ?? ''
const any = ipOf(a).includes(':') ? '::' : '0.0.0.0'
serve(a.fd, any, 'a')
serve(b.fd, any, 'b')
serve(undefined, plan.outside[last] ?? '', 'fabric')

const family = plan.families[last] ?? 'IPv4'
const vip = plan.serviceIp(family, 0)
const lb = plan.loadBalancerIp(family, 0)
const service: Service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'ab', namespace: 'test' },
  spec: { clusterIP: vip, clusterIPs: [vip], ports: [{ name: 'tcp', port: 80 }] },
  status: { loadBalancer: { ingress: [{ ip: lb }] } },
}
const slice: EndpointSlice = {
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'ab', namespace: 'test' },
  addressType: family,
  ports: [{ name: 'tcp', port: 8080 }],
  endpoints: [{ addresses: [ipOf(a)] }, { addresses: [ipOf(b)] }],
}
const rules = serviceRules([service], () => [slice], plan)
for (const node of [one, two]) node.applyRules(rules)

async function several(netns: number | undefined, ip: string): Promise<readonly (string | undefined)[]> {
  const answers = new Set<string | undefined>()
  for (let index = 0; index < 24; index++) answers.add(await ask(netns, ip, 80))
  return [...answers].sort()
}

const seen = {
  podToPod: (await ask(a.fd, ipOf(b))) === 'b',
  nodeToPod: (await ask(one.fd, ipOf(a))) === 'a',
  fabricToPod: (await ask(undefined, ipOf(b))) === 'b',
  podToFabric: (await ask(a.fd, plan.outside[last] ?? '')) === 'fabric',
  service: await several(two.fd, vip),
  hairpin: await several(a.fd, vip),
  loadBalancer: await several(undefined, lb),
}
process.stdout.write(JSON.stringify(seen), () => process.exit(0))
