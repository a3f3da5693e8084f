// A world: the real programs on packages/machine, with the objects of one test. Assertions read traffic, statuses,
// metrics and logs, never internals. `await using world = await startWorld(…)` ends it whatever happens.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createKubeClient, readKubeConfig, systemManifests } from '@wishbone/cli'
import { type IpFamilies, type MachineEvent, type Sandbox, startSandbox } from '@wishbone/machine'
import { type Cluster, createCluster } from '../cluster/index.ts'

export interface WorldOptions {
  /** YAML of the world's objects; images `wishbone/toolbox:0.1.0` and those of `images` are known. */
  readonly objects?: string
  readonly folders?: readonly string[]
  /** Lines of images.yaml below `images:`. */
  readonly images?: string
  readonly nodes?: number
  readonly ipFamilies?: IpFamilies
  readonly ipv6InPods?: boolean
  /** Instead of the mesh's own manifests. */
  readonly systemManifests?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
}

export interface World extends AsyncDisposable {
  readonly cluster: Cluster
  readonly sandbox: Sandbox
  readonly stateDir: string
  readonly folder: string
  readonly events: readonly MachineEvent[]
}

const repository = fileURLToPath(new URL('../../../..', import.meta.url))

export const toolboxImage = `  wishbone/toolbox:0.1.0:
    command: [node, --disable-warning=ExperimentalWarning, src/server.ts]
    workingDir: ${join(repository, 'examples/toolbox')}
  wishbone/wiretap:0.1.0:
    command: [node, src/wiretap.ts]
    workingDir: ${join(repository, 'examples/demo')}
`

/** Starts and waits until everything is applied and the mesh's programs are ready. */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const home = mkdtempSync(join(tmpdir(), 'wishbone-world-'))
  const folder = join(home, 'manifests')
  mkdirSync(folder)
  writeFileSync(join(folder, 'images.yaml'), `images:\n${toolboxImage}${options.images ?? ''}`)
  if (options.objects) writeFileSync(join(folder, 'objects.yaml'), options.objects)
  const events: MachineEvent[] = []
  const stateDir = join(home, 'state')
  const sandbox = await startSandbox({
    stateDir,
    folders: [...(options.folders ?? []), folder],
    systemManifests: options.systemManifests ?? systemManifests,
    nodes: options.nodes ?? 2,
    ipFamilies: options.ipFamilies ?? 'ipv4',
    ipv6InPods: options.ipv6InPods ?? true,
    onEvent: (event) => events.push(event),
    environment: options.environment ?? {},
  })
  const end = async (): Promise<void> => {
    await sandbox[Symbol.asyncDispose]()
    if (!process.env['KEEP_WORLDS']) rmSync(home, { recursive: true, force: true })
  }
  try {
    await sandbox.ready
  } catch (cause) {
    await end()
    throw cause
  }
  const client = createKubeClient(readKubeConfig(sandbox.kubeconfig))
  return {
    cluster: createCluster(client, 'http://outside.example/'),
    sandbox,
    stateDir,
    folder,
    events,
    async [Symbol.asyncDispose]() {
      client.close()
      await end()
    },
  }
}
