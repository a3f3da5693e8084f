// npm run bench: Wishbone against its peers, in one run on this machine, as ratios.
//   npm run bench [-- l4 | l7 | l7-mesh] [--runs 3] [--seconds 4] [--install]
//   npm run bench -- apply [--routes 5000] [--edits 300]    what a change costs a gateway, without a cluster
//   npm run bench -- routes [--routes 1000] [--edits 100]   on the cluster of $KUBECONFIG
//   npm run bench -- enrol [--pods 50] [--runs 3]           on the cluster of $KUBECONFIG
// Exit status 1 when a ratio is under its floor, 2 when something is missing.
import { readCommandLine } from '@wishbone/testing/command-line'
import { benchApply } from '../packages/waypoint/bench/apply.ts'
import { benchEnrol } from './enrol.ts'
import { benchL4 } from './l4.ts'
import { benchL7 } from './l7.ts'
import { benchL7Mesh } from './l7-mesh.ts'
import { benchRoutes } from './routes.ts'
import { Missing } from './tools.ts'

const { positionals, values } = readCommandLine(import.meta.url, {
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '4' },
    install: { type: 'boolean', default: false },
    routes: { type: 'string' },
    pods: { type: 'string', default: '50' },
    edits: { type: 'string' },
  },
})
const wanted = positionals.length > 0 ? positionals : ['l4', 'l7', 'l7-mesh']
const suites: Readonly<Record<string, (runs: number, seconds: number) => Promise<boolean>>> = {
  l4: benchL4,
  l7: benchL7,
  'l7-mesh': benchL7Mesh,
  enrol: (runs) => benchEnrol(Number(values.pods), runs),
  apply: () => benchApply(Number(values.routes ?? 5_000), Number(values.edits ?? 300)),
  routes: () => benchRoutes(Number(values.routes ?? 1_000), Number(values.edits ?? 100)),
}

let good = true
try {
  for (const name of wanted) {
    const suite = suites[name]
    if (!suite) throw new Missing(`there is no suite '${name}'; there are ${Object.keys(suites).join(', ')}`)
    good = (await suite(Number(values.runs), Number(values.seconds))) && good
  }
  process.exitCode = good ? 0 : 1
} catch (cause) {
  if (!(cause instanceof Missing)) throw cause
  process.stderr.write(`bench: ${cause.message}\n`)
  process.exitCode = 2
}
