// POST /logging?level=debug, as Istio's ztunnel has it.
import { type Logger, type LogLevel, logLevels } from '../log/index.ts'
import type { AdminReply, AdminRequest } from './admin.ts'

/** The handler of "POST /logging": sets the level, or says the present one if none is given. */
export function logLevelRoute(log: Logger): (request: AdminRequest) => AdminReply {
  return ({ query }) => {
    const wanted = query.get('level')
    if (wanted === null || wanted === '') return `current log level is ${log.level()}\n`
    // Istio's form may name scopes ("access=debug,info"); the last bare level counts for all of ours.
    const word = wanted.split(',').findLast((part) => !part.includes('=')) ?? wanted.split('=').at(-1) ?? ''
    const level: LogLevel | undefined = word === 'trace' ? 'debug' : logLevels.find((known) => known === word)
    if (!level) return { status: 400, text: `unknown level "${wanted}"; it must be ${logLevels.join(', ')}\n` }
    log.setLevel(level)
    return `current log level is ${level}\n`
  }
}
