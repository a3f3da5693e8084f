#!/usr/bin/env node
// The wishbone command: one verb a file under verbs/.
import { readFileSync } from 'node:fs'
import { KubeError } from '@wishbone/runtime/kube'
import { Command } from 'commander'
import { apply } from './verbs/apply.ts'
import { UsageError } from './verbs/context.ts'
import { remove } from './verbs/delete.ts'
import { gateway, gatewayHelp } from './verbs/gateway.ts'
import { get } from './verbs/get.ts'
import { execute, logs, portForward } from './verbs/pods.ts'
import { status } from './verbs/status.ts'
import { up } from './verbs/up.ts'

const program = new Command('wishbone')
  .description('A service mesh without sidecars, configured by the Kubernetes Gateway API alone.')
  .option('--kubeconfig <path>', 'the cluster; otherwise $KUBECONFIG, ./.wishbone/kubeconfig, ~/.kube/config')
  .option('-n, --namespace <name>', 'the namespace')
  .version(
    (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version,
  )
  .enablePositionalOptions()
  .showHelpAfterError()

const collect = (value: string, previous: string[] = []): string[] => [...previous, value]

program
  .command('up')
  .description('run a folder of manifests on this machine, in a mesh')
  .requiredOption('-f, --filename <folder>', 'a folder with manifests and images.yaml')
  .option('--nodes <count>', 'how many nodes to play', '2')
  .option('--state <folder>', 'where to keep logs, sockets and the kubeconfig', '.wishbone')
  .option('--ip-families <families>', 'ipv4, dual or ipv6', 'ipv4')
  .action(async (options) => {
    process.exitCode = await up(options)
  })

program
  .command('gateway')
  .description('serve the Gateways and routes of a folder, as a process of yours, without Kubernetes')
  .requiredOption(
    '-f, --filename <folder>',
    'a folder with Gateways of the class wishbone, routes, Services, Secrets …',
  )
  .option('--listen <address>', 'the address to listen on; 0.0.0.0 or :: for all', '127.0.0.1')
  .option('--port-offset <number>', 'added to the ports of listeners below 1024', '8000')
  .option('--state <folder>', 'where to keep logs, tokens and the kubeconfig', '.wishbone')
  .addHelpText('after', gatewayHelp)
  .action(async (options) => {
    process.exitCode = await gateway(options)
  })

program
  .command('apply')
  .description('apply manifests from a file, a folder or standard input (-)')
  .option('-n, --namespace <name>', 'the namespace of objects that name none')
  .requiredOption('-f, --filename <path>', 'may be given more than once', collect)
  .action((options, command: Command) => apply({ ...command.optsWithGlobals(), ...options }))

program
  .command('get <kind> [names...]')
  .description('show objects: KIND, KIND NAME, KIND,KIND or KIND/NAME')
  .option('-n, --namespace <name>', 'the namespace')
  .option('-A, --all-namespaces', 'in every namespace')
  .option('-o, --output <form>', 'json, yaml, name or wide')
  .option('-l, --selector <labels>', 'only objects with these labels')
  .action((kind, names: string[], options, command: Command) =>
    get([kind, ...names], { ...command.optsWithGlobals(), ...options }),
  )

program
  .command('delete [words...]')
  .description('delete KIND NAME, KIND/NAME, KIND -l LABELS, or what is in -f PATH')
  .option('-n, --namespace <name>', 'the namespace')
  .option('-l, --selector <labels>', 'objects with these labels')
  .option('-f, --filename <path>', 'may be given more than once', collect)
  .action((words, options, command: Command) => remove(words, { ...command.optsWithGlobals(), ...options }))

program
  .command('status')
  .description('the mesh in one look; exit status 1 when something needs attention')
  .action(async (_options, command: Command) => {
    process.exitCode = await status(command.optsWithGlobals())
  })

program
  .command('logs <pod>')
  .description("a pod's output; also deployment/NAME")
  .option('-n, --namespace <name>', 'the namespace')
  .option('-c, --container <name>', 'which container')
  .option('-f, --follow', 'go on as it is written')
  .option('-p, --previous', 'of the container before its restart')
  .option('--tail <lines>', 'only the last lines')
  .option('--since <duration>', 'only what is newer: 30s, 5m, 2h')
  .action((pod, options, command: Command) => logs(pod, { ...command.optsWithGlobals(), ...options }))

program
  .command('exec <pod> <command...>')
  .description('run a command in a pod')
  .option('-n, --namespace <name>', 'the namespace')
  .option('-c, --container <name>', 'which container')
  .option('-i, --stdin', 'pass standard input on')
  // Without --, everything after the pod is the command's; with it, our options may stand on both sides of the pod.
  .passThroughOptions(!process.argv.includes('--'))
  .action(async (pod, words, options, command: Command) => {
    process.exitCode = await execute(pod, words[0] === '--' ? words.slice(1) : words, {
      ...command.optsWithGlobals(),
      ...options,
    })
  })

program
  .command('port-forward <pod> <ports>')
  .description('a local port to a pod, deployment/NAME or service/NAME: LOCAL:REMOTE')
  .option('-n, --namespace <name>', 'the namespace')
  .action((pod, ports, options, command: Command) =>
    portForward(pod, ports, { ...command.optsWithGlobals(), ...options }),
  )

// Whoever reads our output may stop reading: `wishbone status | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

try {
  await program.parseAsync()
} catch (cause) {
  if (!(cause instanceof UsageError || cause instanceof KubeError || cause instanceof Error)) throw cause
  process.stderr.write(`wishbone: ${cause.message}\n`)
  if (process.env['WISHBONE_DEBUG']) process.stderr.write(`${cause.stack}\n`)
  process.exitCode = 1
}
