// wishbone up -f FOLDER: the folder's manifests, running on this machine in a mesh, until ^C.
import { existsSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type IpFamilies, type MachineEvent, startSandbox } from '@wishbone/machine'
import { print, UsageError } from './context.ts'
import { commandName, createProgress, near, untilToldToStop } from './long-running.ts'

export interface UpOptions {
  readonly filename: string
  readonly nodes: string
  readonly state: string
  readonly ipFamilies: string
}

/** The manifests that install the mesh on a machine: its kinds, then its programs. */
export const systemManifests: readonly string[] = [
  fileURLToPath(new URL('../../../../deploy/crds', import.meta.url)),
  fileURLToPath(new URL('../../../../deploy/machine.yaml', import.meta.url)),
]

function families(word: string): IpFamilies {
  if (word === 'ipv4' || word === 'dual' || word === 'ipv6') return word
  throw new UsageError(`--ip-families is ipv4, dual or ipv6, not '${word}'`)
}

/** Shows the machine's events to a person. */
export function narrate(progress: ReturnType<typeof createProgress>): (event: MachineEvent) => void {
  return (event) => {
    if (event.event === 'progress') progress.show(event.text)
    if (event.event === 'warning') progress.say(`warning: ${event.text}`)
    if (event.event === 'note') progress.say(event.text)
  }
}

/** Runs until a signal; the exit status. */
export async function up(options: UpOptions): Promise<number> {
  const folder = resolve(options.filename)
  if (!existsSync(folder) || !statSync(folder).isDirectory())
    throw new UsageError(`${options.filename} is not a folder`)
  const nodes = Number(options.nodes)
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > 20)
    throw new UsageError(`--nodes is a number from 1 to 20, not '${options.nodes}'`)
  if (!existsSync(join(folder, 'images.yaml')))
    process.stderr.write(`warning: ${options.filename} has no images.yaml, so no container of it can start\n`)
  const progress = createProgress(process.stderr)
  const started = Date.now()
  let stopping = false
  await using sandbox = await startSandbox({
    stateDir: options.state,
    folders: [folder],
    systemManifests,
    nodes,
    ipFamilies: families(options.ipFamilies),
    portFor: (_namespace, _service, port) =>
      port === 80 ? 8080 : port === 443 ? 8443 : port > 1024 ? port : undefined,
    onEvent: (event) => {
      if (stopping) return
      narrate(progress)(event)
      if (event.event === 'publish') {
        const { namespace, service, port } = event
        void sandbox
          .urlOf(namespace, service, port)
          .then((url) => progress.say(`${namespace}/${service} port ${port}: ${url}`))
      }
    },
  })
  const stop = untilToldToStop()
  const first = await Promise.race([sandbox.ready.then(() => 'ready' as const), stop, sandbox.ended])
  progress.done()
  if (first === 'ready') {
    print(
      `Ready after ${((Date.now() - started) / 1000).toFixed(1)} s: ${nodes} node${nodes === 1 ? '' : 's'}. Edit the files in ${near(folder)} and they are applied.`,
    )
    print(`  export KUBECONFIG=${sandbox.kubeconfig}`)
    print('  kubectl get pods -A')
    print(`  ${commandName()} status        (also get, apply, logs, exec, port-forward, where there is no kubectl)`)
    print('Stop with ^C.')
  } else if (first !== 'stopped') {
    process.stderr.write(`wishbone: ${first}\n`)
    return 1
  }
  const end = first === 'stopped' ? first : await Promise.race([stop, sandbox.ended])
  if (end !== 'stopped') {
    process.stderr.write(`wishbone: ${end}\n`)
    return 1
  }
  stopping = true
  progress.done()
  progress.say('stopping')
  return 0
}
