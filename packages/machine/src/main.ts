// The machine, inside its sandbox: API server, networks, nodes, controllers, kubelets, DNS and the folders, wired together.
import { mkdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { readPath, withoutDuplicates } from '@wishbone/runtime/manifests'
import { startApiServer } from './api/http/server.ts'
import { createApiClient, resources } from './client/api.ts'
import { createApiService, createNodeObjects } from './client/first-objects.ts'
import { type Context, startControllers, startMirrors } from './controllers/index.ts'
import type { Directory } from './dns/records.ts'
import { startDns } from './dns/server.ts'
import type { PodAccess } from './kubelet/access.ts'
import { type Image, readImages } from './kubelet/images.ts'
import { type Kubelet, startKubelet } from './kubelet/kubelet.ts'
import { remarkOnPods } from './kubelet/meaning.ts'
import { Applier } from './loader/apply.ts'
import { FolderLoader, mistakeText } from './loader/folder.ts'
import { createNode, type NodeNetwork, setUpFabric } from './network/fabric.ts'
import { followServices, indexSlices } from './network/follow-services.ts'
import { addressPlan } from './network/plan.ts'
import { publishLoadBalancers, startOutside } from './outside.ts'
import { untilSettled } from './readiness.ts'
import type { MachineEvent, MachineSettings } from './sandbox.ts'

const settings = JSON.parse(process.env['WISHBONE_MACHINE'] ?? 'null') as MachineSettings | null
if (!settings) {
  process.stderr.write('this is the inside of the machine; start it with: wishbone up -f FOLDER\n')
  process.exit(2)
}
// Pods inherit nothing of it.
delete process.env['WISHBONE_MACHINE']

const tell = (event: MachineEvent): void => {
  try {
    writeSync(3, `${JSON.stringify(event)}\n`)
  } catch {
    // The outside is gone; the end of standard input ends us.
  }
}
const progress = (text: string): void => tell({ event: 'progress', text })
const log = (text: string): void => void process.stdout.write(`${new Date().toISOString()} ${text}\n`)
const warn = (text: string): void => {
  log(`warning: ${text}`)
  tell({ event: 'warning', text })
}

process.on('unhandledRejection', (cause) => log(`unhandled: ${cause instanceof Error ? cause.stack : String(cause)}`))

/** More than one user exists unless we are alone in a user namespace with a single id. */
function otherUsersExist(): boolean {
  const ranges = readFileSync('/proc/self/uid_map', 'utf8').trim().split('\n')
  return ranges.some((range) => Number(range.trim().split(/\s+/)[2]) > 1)
}

async function run({
  stateDir,
  folders,
  systemManifests,
  nodes: nodeCount,
  ipFamilies,
  ipv6InPods,
  apiPort,
}: MachineSettings): Promise<void> {
  const abort = new AbortController()
  const plan = addressPlan(ipFamilies)
  const runFolder = join(stateDir, 'run')
  mkdirSync(runFolder, { recursive: true })
  progress('making the networks')
  setUpFabric(plan)
  const nodes = new Map<string, NodeNetwork>()
  for (let index = 1; index <= nodeCount; index++) nodes.set(`node${index}`, createNode(plan, index, { ipv6InPods }))

  progress('starting the API server')
  let kubelet: Kubelet | undefined
  const late = (): PodAccess => {
    if (!kubelet) throw new Error('the nodes are not up yet')
    return kubelet.access
  }
  const tlsSocket = join(runFolder, 'api.sock')
  const adminSocket = join(runFolder, 'admin.sock')
  const api = await startApiServer({
    stateDir,
    apiPort,
    adminSocket,
    tlsSocket,
    addresses: [
      ...plan.apiServer.map((host) => ({ host, port: 6443 })),
      ...plan.apiService.map((host) => ({ host, port: 443 })),
    ],
    names: [...plan.apiServer, ...plan.apiService],
    access: {
      logs: (...words) => late().logs(...words),
      exec: (...words) => late().exec(...words),
      connect: (...words) => late().connect(...words),
    },
    log,
  })
  tell({ event: 'api', socket: tlsSocket, kubeconfig: join(stateDir, 'kubeconfig') })

  const client = createApiClient(adminSocket)
  for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) {
    await client
      .create(resources.namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
      .catch(() => {})
  }
  await createNodeObjects(client, nodes)
  await createApiService(client, plan.apiService, plan.apiServer)
  const mirrors = await startMirrors(client, abort.signal)
  const context: Context = { client, mirrors, signal: abort.signal, log }

  let images = new Map<string, Image>()
  let imageMistakes: readonly string[] = []
  const loadImages = (): void => {
    const read = folders.map((folder) => readImages(folder))
    const mistakes = read
      .flatMap((part) => part.mistakes)
      .map(({ file, line, message }) => mistakeText({ place: { file, line }, message }, process.cwd()))
    for (const text of mistakes) if (!imageMistakes.includes(text)) warn(text)
    imageMistakes = mistakes
    images = new Map(read.flatMap((part) => [...part.images]))
  }
  loadImages()
  followServices(context, nodes, plan, warn)
  const slicesByService = indexSlices(context)
  const directory: Directory = {
    domain: 'cluster.local',
    service: (namespace, name) => mirrors.services.get(namespace, name),
    slices: (namespace, name) => slicesByService(`${namespace}/${name}`),
    outside: new Map([['outside.example', plan.outside]]),
  }
  await startDns(directory, plan.dns)
  await startOutside(plan.outside)
  startControllers(context, plan, api.caPem)
  kubelet = startKubelet(context, {
    stateDir,
    nodes,
    images: () => images,
    dns: plan.dns,
    apiService: plan.apiService[0] ?? '',
    otherUsers: otherUsersExist(),
    warn,
  })
  publishLoadBalancers(context, runFolder, tell)

  process.stdin.on('end', () => void stop(kubelet, abort))
  process.stdin.resume()

  progress('applying the mesh')
  const system = withoutDuplicates(systemManifests.flatMap((path) => readPath(path)))
  const refused = await new Applier(client).apply(system.objects, 'wishbone-install')
  for (const mistake of [...system.mistakes, ...refused]) warn(mistakeText(mistake, process.cwd()))
  progress('applying the folder')
  // At the start the pods' progress says enough.
  const note = (text: string, first: boolean): void => {
    log(text)
    if (!first) tell({ event: 'note', text })
  }
  const loader = new FolderLoader({ client, folders, warn, note, onImages: loadImages, remarkOn: remarkOnPods })
  await loader.load()
  loader.watch(abort.signal)
  const missing = await untilSettled(
    mirrors,
    { allMs: 120_000, standstillMs: 15_000 },
    ({ ready, total, names }) => {
      const others = names.length > 2 ? ` and ${names.length - 2} more` : ''
      progress(`pods ready: ${ready} of ${total}; waiting for ${names.slice(0, 2).join(', ')}${others}`)
    },
    abort.signal,
  )
  if (abort.signal.aborted) return
  for (const name of missing) warn(`not ready: ${name}`)
  tell({ event: 'ready' })
}

let stopping = false
async function stop(kubelet: Kubelet | undefined, abort: AbortController): Promise<void> {
  if (stopping) return
  stopping = true
  log('stopping')
  abort.abort()
  // Everything in the sandbox dies with us; pods get a moment to say goodbye.
  await Promise.race([kubelet?.stopAll() ?? Promise.resolve(), new Promise((resolve) => setTimeout(resolve, 300))])
  await new Promise((resolve) => setTimeout(resolve, 300))
  process.exit(0)
}

run(settings).catch((cause: Error) => {
  log(`fatal: ${cause.stack}`)
  tell({ event: 'warning', text: `the machine could not start: ${cause.message}` })
  process.exit(1)
})
for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => process.exit(0))
