// POST /logging?level=debug, as Istio's ztunnel has it.
import { type Logger, type LogLevel, logLevels } from '../log/index.ts'
import type { AdminReply, AdminRequest } from './admin.ts'

/** Levels that Istio has and we have not: the nearest. Errors are always logged. */
const foreign: ReadonlyMap<string, LogLevel> = new Map([
  ['trace', 'debug'],
  ['warning', 'warn'],
  ['critical', 'error'],
  ['off', 'error'],
])

/** The handler of "POST /logging": sets the level, or says the present one if none is given. */
export function logLevelRoute(log: Logger): (request: AdminRequest) => AdminReply {
  return ({ query }) => {
    const wanted = query.get('level')
    if (wanted === null || wanted === '') return `current log level is ${log.level()}\n`
    // istioctl's form may name scopes ("access:debug,info", "a::b=debug"); the last bare level counts for all of ours.
    const word = wanted.split(',').findLast((part) => !/[:=]/.test(part)) ?? wanted.split(/[:=]/).at(-1) ?? ''
    const level: LogLevel | undefined = foreign.get(word) ?? logLevels.find((known) => known === word)
    if (!level) return { status: 400, text: `unknown level "${wanted}"; it must be ${logLevels.join(', ')}\n` }
    log.setLevel(level)
    return `current log level is ${level}\n`
  }
}
