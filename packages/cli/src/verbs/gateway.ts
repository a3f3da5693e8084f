// wishbone gateway -f FOLDER: the folder's Gateways and routes, served by processes of the user who calls it, until ^C.
import { existsSync, statSync } from 'node:fs'
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import type { StandaloneEvent } from '@wishbone/machine/standalone'
import { print, UsageError } from './context.ts'
import { commandName, createProgress, near, untilToldToStop } from './long-running.ts'
import { systemManifests } from './up.ts'

export interface GatewayOptions {
  readonly filename: string
  readonly listen: string
  readonly portOffset: string
  readonly state: string
}

export const gatewayHelp = `
No root, no namespaces, no cluster: a listener on port 80 is opened on 8080, one on 443 on 8443, and one on 3000 on 3000.
A Gateway with spec.addresses listens there.

Backends are Services with EndpointSlices (127.0.0.1 and any other address; no selector, for no pods run here) or of type
ExternalName, whose externalName is a host or an address; write the port into the Service too. In a cluster an ExternalName
is refused as a backend.

Files are applied again when they change, and mistakes are told with file and line; what was good stays in force.
'wishbone get', 'status', 'apply', 'delete' and 'logs' here, and kubectl with the kubeconfig, show the same statuses as on a
cluster. ^C lets open requests finish (30 s, or PROXY_DRAIN_SECONDS); a second ^C ends at once. Settings of the gateways, such
as ACCESS_LOG, LOG_LEVEL or MAX_CONNECTIONS, are taken from the environment (docs/settings.md).
`

function offset(word: string): number {
  const number = Number(word)
  if (Number.isInteger(number) && number >= 0 && number <= 64_000) return number
  throw new UsageError(`--port-offset is a number from 0 to 64000, not '${word}'`)
}

/** Runs until a signal; the exit status. */
export async function gateway(options: GatewayOptions): Promise<number> {
  const folder = resolve(options.filename)
  if (!existsSync(folder) || !statSync(folder).isDirectory())
    throw new UsageError(`${options.filename} is not a folder`)
  if (isIP(options.listen) === 0)
    throw new UsageError(`--listen is an address such as 127.0.0.1 or 0.0.0.0, not '${options.listen}'`)
  const portOffset = offset(options.portOffset)
  const progress = createProgress(process.stderr)
  const started = Date.now()
  let stopping = false
  let shown: readonly string[] | undefined
  const showLinks = (links: readonly string[]): void => {
    progress.done()
    if (shown === undefined && links.length === 0) progress.say('no Gateway serves yet')
    for (const link of shown ?? []) if (!links.includes(link)) progress.say(`  no longer: ${link}`)
    for (const link of links) if (!shown?.includes(link)) print(`  ${link}`)
    shown = links
  }
  const onEvent = (event: StandaloneEvent): void => {
    if (stopping) return
    if (event.event === 'progress') progress.show(event.text)
    if (event.event === 'warning') progress.say(`warning: ${event.text}`)
    if (event.event === 'note') progress.say(event.text)
    if (event.event === 'links') showLinks(event.links)
  }
  // The other verbs need none of it.
  const { startStandalone } = await import('@wishbone/machine/standalone')
  const stop = untilToldToStop()
  const standalone = await startStandalone({
    stateDir: options.state,
    folder,
    systemManifests,
    listen: options.listen,
    portOffset,
    onEvent,
  })
  const first = await Promise.race([standalone.ready.then(() => 'ready' as const), stop])
  if (first === 'ready') {
    progress.done()
    print(
      `Ready after ${((Date.now() - started) / 1000).toFixed(1)} s. Edit the files in ${near(folder)} and they are applied.`,
    )
    print(`  export KUBECONFIG=${standalone.kubeconfig}`)
    print(`  ${commandName()} status        (also get, apply, delete, logs)`)
    print('Stop with ^C.')
    await stop
  }
  stopping = true
  progress.done()
  progress.say('stopping; what is open may finish (^C again ends it now)')
  process.once('SIGINT', () => {
    standalone.kill()
    process.exit(130)
  })
  await standalone.stop()
  return 0
}
