// `npm run cluster:up|down|node-stop|node-start|load-image`: a real two-node Kubernetes on this machine, without Docker.
import { join } from 'node:path'
import { routeLoadBalancers } from './host-network.ts'
import { loadImage } from './load-image.ts'
import { livingNodes, nodeNamed, startNode, stopNode } from './node.ts'
import { requireRoot } from './packages.ts'
import { Records } from './records.ts'
import { removeCluster } from './remove.ts'
import { paths } from './settings.ts'
import { ClusterError, say } from './shell.ts'
import { up } from './up.ts'

const [verb = '', ...args] = process.argv.slice(2)
const records = (): Records => new Records(join(paths.state, 'records'))

const verbs: Readonly<Record<string, () => Promise<void>>> = {
  up: () => up({ install: process.env['CI'] === 'true' || args.includes('--install') }),
  down: async () => {
    await removeCluster(records(), { keepImages: false })
    say('the cluster is gone')
  },
  'node-stop': async () => {
    requireRoot()
    const node = nodeNamed(args[0])
    await stopNode(node)
    routeLoadBalancers(records(), livingNodes())
    say(`${node.name} has crashed; 'npm run cluster:node-start ${node.name}' brings it back`)
  },
  'node-start': async () => {
    requireRoot()
    const node = nodeNamed(args[0])
    await stopNode(node)
    await startNode(records(), node)
    routeLoadBalancers(records(), livingNodes())
    say(`${node.name} is starting`)
  },
  'load-image': async () => {
    requireRoot()
    loadImage(args[0])
  },
}

try {
  const run = verbs[verb]
  if (run === undefined) throw new ClusterError(`unknown verb '${verb}'; one of: ${Object.keys(verbs).join(', ')}`)
  await run()
} catch (cause) {
  process.stderr.write(
    `wishbone: ${cause instanceof ClusterError ? cause.message : ((cause as Error).stack ?? cause)}\n`,
  )
  process.exit(1)
}
