// npm run demo: Bookinfo on two nodes of this machine, and the scenes, each with what is done, expected and observed.
//   --once        end after the scenes (exit status 1 at the first difference) instead of staying up
//   --scene N     only up to scene N
//   --state DIR   where the machine keeps its files
//   --no-scenes   only the application

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createKubeClient, createProgress, narrate, readKubeConfig } from '@wishbone/cli'
import { startSandbox } from '@wishbone/machine'
import { createCluster } from '@wishbone/testing/cluster'
import { readCommandLine } from '@wishbone/testing/command-line'
import { withZtunnelEnvironment } from '@wishbone/testing/world'
import { playScenes } from './play.ts'
import { scenes } from './scenes/index.ts'

const { values } = readCommandLine(import.meta.url, {
  options: {
    once: { type: 'boolean', default: false },
    scene: { type: 'string' },
    state: { type: 'string', default: '.wishbone' },
    'no-scenes': { type: 'boolean', default: false },
  },
})
const folder = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const say = (line: string): void => void process.stdout.write(`${line}\n`)
const started = Date.now()
const progress = createProgress(process.stderr)

async function run(): Promise<number> {
  await using sandbox = await startSandbox({
    stateDir: values.state,
    folders: [folder('../../bookinfo/manifests'), folder('../base')],
    // Short-lived certificates, so that scene 9 sees one rotate.
    systemManifests: withZtunnelEnvironment(mkdtempSync(join(tmpdir(), 'wishbone-demo-')), { SECRET_TTL: '40' }),
    nodes: 2,
    portFor: (_namespace, _service, port) => (port === 80 ? 8080 : undefined),
    onEvent: narrate(progress),
  })
  const stop = new Promise<'stopped'>((accept) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => accept('stopped'))
  })
  const ended = sandbox.ended.then((text): never => {
    throw new Error(text)
  })
  ended.catch(() => {})
  if ((await Promise.race([sandbox.ready, stop, ended])) === 'stopped') return 130
  progress.done()
  say(
    `Bookinfo runs on two nodes after ${((Date.now() - started) / 1000).toFixed(1)} s. KUBECONFIG=${sandbox.kubeconfig}`,
  )
  const client = createKubeClient(readKubeConfig(sandbox.kubeconfig))
  try {
    if (!values['no-scenes']) {
      const cluster = createCluster(client, 'http://outside.example/')
      const last = values.scene === undefined ? Number.POSITIVE_INFINITY : Number(values.scene)
      const played = playScenes(
        scenes.filter((scene) => scene.number <= last),
        {
          cluster,
          say,
          gatewayUrl: (namespace, name, port) => sandbox.urlOf(namespace, `${name}-wishbone`, port),
          // They are short-lived here from the start, see above.
          shortCertificates: async () => ({ [Symbol.asyncDispose]: async () => {} }),
        },
      )
      const passed = await Promise.race([played, stop, ended])
      if (passed === 'stopped') return 130
      say(
        `${passed ? 'All scenes as expected' : 'Stopped at a difference'}, ${((Date.now() - started) / 1000).toFixed(0)} s after the start.`,
      )
      if (values.once) return passed ? 0 : 1
    }
    say(`
The mesh stays up. Try, in another terminal:
  export KUBECONFIG=${sandbox.kubeconfig}
  kubectl get pods -A                               kubectl -n bookinfo get gateways,httproutes
  kubectl -n bookinfo edit httproute reviews        (or edit examples/bookinfo/manifests: files are applied as they change)
  kubectl -n wishbone-system logs ds/ztunnel        npm run -s wishbone -- status`)
    const url = await sandbox.urlOf('bookinfo', 'bookinfo-wishbone', 80, 1_000).catch(() => undefined)
    if (url) say(`  ${url}/productpage       (sign in as jason: v2 of reviews, and slow ratings)`)
    say('Stop with ^C.')
    await Promise.race([stop, ended])
    return 0
  } finally {
    client.close()
  }
}

process.exitCode = await run().catch((cause: Error) => {
  progress.done()
  process.stderr.write(`wishbone: ${cause.message}\n`)
  return 1
})
