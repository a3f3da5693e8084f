// `npm run cluster:up|down|node-stop|node-start|load-image`: a real two-node Kubernetes on this machine, without Docker.
import { loadImage } from './load-image.ts'
import { withLock } from './lock.ts'
import { nodeNamed, startNode, stopNode } from './node.ts'
import { requireRoot } from './packages.ts'
import { paths } from './settings.ts'
import { ClusterError, say } from './shell.ts'
import { down, openRecords, requireCluster } from './state.ts'
import { up } from './up.ts'
import { waitForNodes, withClient } from './wait.ts'

// Not in everybody's path: iptables, runc and sysctl.
process.env['PATH'] = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`

const [verb = '', ...args] = process.argv.slice(2)

const verbs: Readonly<Record<string, () => void | Promise<void>>> = {
  up: () => up({ install: process.env['CI'] === 'true' || args.includes('--install') }),
  down,
  'node-stop': async () => {
    const node = nodeNamed(args[0])
    await stopNode(node)
    say(`${node.name} has crashed; 'npm run cluster:node-start ${node.name}' brings it back`)
  },
  'node-start': async () => {
    const node = nodeNamed(args[0])
    requireCluster()
    await stopNode(node)
    const startedMs = Date.now()
    await startNode(openRecords(), node)
    await withClient((client) => waitForNodes(client, [node], startedMs))
    say(`${node.name} is ready`)
  },
  'load-image': () => loadImage(args[0]),
}

try {
  const work = verbs[verb]
  if (work === undefined) throw new ClusterError(`unknown verb '${verb}'; one of: ${Object.keys(verbs).join(', ')}`)
  requireRoot()
  await withLock(`cluster ${paths.state}`, 'another command changes the cluster; waiting for it', async () => work())
} catch (cause) {
  process.stderr.write(
    `wishbone: ${cause instanceof ClusterError ? cause.message : ((cause as Error).stack ?? cause)}\n`,
  )
  process.exit(1)
}
