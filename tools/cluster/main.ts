// A real two-node Kubernetes on this machine, without Docker.
//   npm run cluster:up [-- --install]          starts it, or says that it is up; --install lets it install Debian packages
//   npm run cluster:down                       removes it
//   npm run cluster:node-stop -- NODE          a crash of node1 or node2
//   npm run cluster:node-start -- NODE         brings the node back
//   npm run cluster:load-image -- FILE         gives the images of an OCI archive to both nodes
import { readCommandLine } from '@wishbone/testing/command-line'
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

const { positionals, values } = readCommandLine(import.meta.url, {
  allowPositionals: true,
  options: { install: { type: 'boolean', default: false } },
})
const [verb = '', ...args] = positionals

const verbs: Readonly<Record<string, () => void | Promise<void>>> = {
  up: () => up({ install: process.env['CI'] === 'true' || values.install }),
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
