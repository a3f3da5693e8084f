// `npm run cluster:check`: whether the cluster's tool keeps its promises, tried on a cluster of its own inside network, mount
// and PID namespaces with an uplink that leads nowhere. It disturbs no cluster that runs.
import { deepEqual, equal, ok } from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { containerIds, containersGroup, foldersOf } from './cgroups.ts'
import { mountPoints } from './node.ts'
import { childOf, parseStat, recordOf } from './process.ts'
import { nodes, paths } from './settings.ts'
import { attempt, run, say, until } from './shell.ts'

const uplink = 'uplink0'
const node = [process.execPath, '--disable-warning=ExperimentalWarning']
const tool = (...args: string[]): string[] => [...node, join(import.meta.dirname, 'main.ts'), ...args]
const kubectl = (...args: string[]): string =>
  run([join(paths.bin, 'kubectl'), `--kubeconfig=${paths.kubeconfig}`, ...args])
const address = 'http://172.31.0.50/'

/** Starts `up` and kills it, as a power cut would, when it says `text`. */
async function killUpAt(text: string): Promise<void> {
  const [program = '', ...args] = tool('up')
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const said = new Promise<void>((resolve, reject) => {
    let all = ''
    child.stderr.on('data', (chunk) => {
      all += chunk
      if (all.includes(text)) resolve()
    })
    child.once('exit', () => reject(new Error(`'up' ended before it said '${text}':\n${all}`)))
  })
  await said
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}

async function answers(url: string): Promise<boolean> {
  return fetch(url, { signal: AbortSignal.timeout(1000) }).then(
    async (response) => (await response.text()).includes('Hostname=echo'),
    () => false,
  )
}

interface Pod {
  readonly metadata: { readonly name: string }
  readonly spec: { readonly nodeName: string }
  readonly status: {
    readonly podIP: string
    readonly containerStatuses?: readonly { readonly ready: boolean; readonly restartCount: number }[]
  }
}

const pods = (): readonly Pod[] =>
  (JSON.parse(kubectl('get', 'pods', '-l', 'app=echo', '-o', 'json')) as { items: readonly Pod[] }).items

const inPod = (pod: Pod, url: string): boolean =>
  attempt([
    join(paths.bin, 'kubectl'),
    `--kubeconfig=${paths.kubeconfig}`,
    ...['exec', pod.metadata.name, '--', '/usr/local/bin/client', '--timeout=2s', url],
  ]).stdout.includes('StatusCode=200')

/** Names of what runs in this PID namespace; process 1, which this is, reaps no orphans, so the dead do not count. */
function programs(): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
        return parseStat(stat).state === 'Z' ? [] : [stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))]
      } catch {
        return []
      }
    })
}

/** What a machine looks like from outside. */
function traces(): Readonly<Record<string, string>> {
  return {
    links: run(['ip', '-br', 'link'])
      .split('\n')
      .map((line) => line.split(/[ @]/)[0])
      .join(),
    routes: run(['ip', 'route']),
    mounts: readFileSync('/proc/mounts', 'utf8'),
    programs: programs().join(),
    directories: mountPoints.filter((path) => existsSync(path)).join(),
  }
}

function uplinkPackets(): number {
  const [link] = JSON.parse(run(['ip', '-j', '-s', 'link', 'show', uplink])) as {
    stats64: { tx: { packets: number } }
  }[]
  return link!.stats64.tx.packets
}

const steps: readonly (readonly [string, () => void | Promise<void>])[] = [
  ['up survives kill -9 while the control plane starts', () => killUpAt('starting the control plane')],
  ['up survives kill -9 while the nodes start', () => killUpAt('starting the nodes')],
  ['up survives kill -9 when the nodes are ready', () => killUpAt('the nodes are ready')],
  ['up brings a cluster', () => void run(tool('up'))],
  ['up again says that it is there', () => ok(attempt(tool('up')).stderr.includes('is up already'))],
  [
    'a LoadBalancer Service is reached from the host at the address that it asked for',
    async () => {
      kubectl('apply', '-f', join(import.meta.dirname, 'check-objects.yaml'))
      kubectl('rollout', 'status', 'daemonset/echo', '--timeout=60s')
      ok(await until(() => answers(address), 10_000))
      equal(kubectl('get', 'service', 'unusable', '-o', 'jsonpath={.status.loadBalancer.ingress}'), '')
    },
  ],
  [
    'pods reach each other across the nodes, and Services by name',
    async () => {
      const reaches = (pod: Pod, url: string) => until(() => inPod(pod, url), 30_000, 500)
      for (const pod of pods()) {
        for (const other of pods()) ok(await reaches(pod, `http://${other.status.podIP}:8090`))
        ok(await reaches(pod, 'http://echo.default'))
      }
    },
  ],
  [
    'no packet leaves the machine',
    async () => {
      const before = uplinkPackets()
      const [pod] = pods()
      for (const url of ['http://203.0.113.9', 'http://10.244.77.7']) ok(!inPod(pod!, url))
      for (const url of ['http://10.244.77.7', 'http://172.31.0.200']) ok(!(await answers(url)))
      equal(uplinkPackets(), before)
    },
  ],
  [
    'a node crashes: load balancers go on, and the node comes back with its pods',
    async () => {
      process.kill(childOf(recordOf('node1')!)!.pid, 'SIGKILL')
      ok(await until(() => answers(address), 10_000))
      run(tool('node-start', 'node1'))
      const isBack = ({ spec, status }: Pod): boolean =>
        spec.nodeName === 'node1' && status.containerStatuses?.some((one) => one.ready && one.restartCount > 0) === true
      ok(await until(() => pods().some(isBack), 120_000, 500))
    },
  ],
  [
    'etcd dies: up starts anew',
    () => {
      process.kill(recordOf('etcd')!.pid, 'SIGKILL')
      run(tool('up'))
      kubectl('get', '--raw', '/readyz')
    },
  ],
]

async function inside(): Promise<void> {
  for (const command of [
    'ip link set lo up',
    `ip link add ${uplink} type veth peer name uplink1`,
    'ip link set uplink1 up',
    `sysctl -qw net.ipv6.conf.all.disable_ipv6=1`,
    `ip addr add 198.51.100.2/24 dev ${uplink}`,
    `ip link set ${uplink} up`,
    // A neighbour that takes everything.
    `ip neigh add 198.51.100.1 lladdr 02:00:00:00:00:01 dev ${uplink}`,
    'ip route add default via 198.51.100.1',
  ])
    run(command.split(' '))
  const before = traces()
  let groups: readonly string[] = []
  try {
    for (const [name, step] of steps) {
      await step()
      say(`passed: ${name}`)
    }
    groups = nodes
      .flatMap(({ name }) => containerIds(join(paths.node(name), 'containerd')))
      .map((id) => join(containersGroup, id))
    ok(groups.flatMap(foldersOf).length > 0)
  } finally {
    run(tool('down'))
  }
  deepEqual(traces(), before)
  deepEqual(groups.flatMap(foldersOf), [])
  say('passed: down leaves no link, route, mount, control group or process')
}

if (process.argv[2] === 'inside') await inside()
else {
  // Short: it is part of paths of sockets.
  const state = mkdtempSync(join(tmpdir(), 'wbc-'))
  const namespaces = ['unshare', '--net', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child']
  const [program = '', ...args] = [...namespaces, ...node, import.meta.filename, 'inside']
  const { status } = spawnSync(program, args, {
    stdio: 'inherit',
    env: { ...process.env, WISHBONE_CLUSTER_STATE: state },
  })
  rmSync(state, { recursive: true, force: true })
  process.exit(status ?? 1)
}
