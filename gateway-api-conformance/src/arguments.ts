// The command line of `npm run conformance`.
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { checkout } from './place.ts'

export interface Arguments {
  /** Empty: those of the committed report. */
  readonly profiles: readonly string[]
  readonly tests: readonly string[]
  /** Test what is in the cluster. */
  readonly installed: boolean
  /** Install what was committed then instead of the working tree. */
  readonly commit?: string
  /** Install and test nothing. */
  readonly installOnly: boolean
  /** Tests at a time among those that allow it; Go's default when undefined. */
  readonly parallel?: number
  /** Whether the suite's namespaces are in the mesh. */
  readonly labelled: boolean
  /** Where the run's report and log go. */
  readonly reportFolder: string
  /** Make the run's report the committed one. */
  readonly update: boolean
  readonly usableAddress: string
  readonly unusableAddress: string
}

export const usage = `usage: npm run conformance -- [PROFILE...] [--installed] [--parallel N] [--run-test NAME]...
         [--commit REVISION] [--install-only]
         [--label | --no-label] [--report DIR] [--update] [--usable-address IP] [--unusable-address IP]
  PROFILE      MESH-HTTP, MESH-GRPC, GATEWAY-HTTP, GATEWAY-TLS, GATEWAY-TCP, GATEWAY-UDP, GATEWAY-GRPC; without any, those of
               the committed report
  --installed  tests what is in the cluster instead of installing the working tree's build
  --commit     installs what was committed then instead of the working tree's build
  --install-only  installs the working tree's build and runs no test
  --parallel   how many of the tests that allow it run at a time
  --run-test   runs this test only, whether or not its features are supported
  --no-label   leaves the suite's namespaces out of the mesh (istio.io/dataplane-mode)
  --report     folder for report, README and log (.wishbone/conformance)
  --update     makes the report of this run the committed one
  --usable-address, --unusable-address  what a Gateway can and can not have as its address`

/** Throws an error whose message is for the user. */
export function readArguments(args: readonly string[]): Arguments {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    allowNegative: true,
    options: {
      help: { type: 'boolean', default: false },
      installed: { type: 'boolean', default: false },
      commit: { type: 'string' },
      'install-only': { type: 'boolean', default: false },
      parallel: { type: 'string' },
      'run-test': { type: 'string', multiple: true, default: [] },
      label: { type: 'boolean', default: true },
      report: { type: 'string' },
      update: { type: 'boolean', default: false },
      // Of the range that the cluster of `npm run cluster:up` gives to LoadBalancers, and one that nobody has (RFC 5737).
      'usable-address': { type: 'string', default: '172.31.0.250' },
      'unusable-address': { type: 'string', default: '192.0.2.1' },
    },
  })
  const parallel = values.parallel === undefined ? undefined : Number(values.parallel)
  if (parallel !== undefined && !(Number.isInteger(parallel) && parallel > 0))
    throw new Error(`--parallel takes a number from 1, not ${values.parallel}`)
  const something = positionals.length + values['run-test'].length > 0
  if (values.help || (something && values['install-only'])) throw new Error(usage)
  return {
    profiles: positionals,
    tests: values['run-test'],
    installed: values.installed,
    ...(values.commit === undefined ? {} : { commit: values.commit }),
    installOnly: values['install-only'],
    ...(parallel === undefined ? {} : { parallel }),
    labelled: values.label,
    reportFolder: resolve(values.report ?? join(checkout, '.wishbone/conformance')),
    update: values.update,
    usableAddress: values['usable-address'],
    unusableAddress: values['unusable-address'],
  }
}
