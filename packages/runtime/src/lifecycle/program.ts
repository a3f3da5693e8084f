// Runs a program from its first line to its exit code. States: starting → running → draining → ended.
// The first SIGTERM or SIGINT aborts the signal and disposes what main returned (the drain); a second one ends at once.
// A drain that takes longer than its limit ends the process with code 0 and a warning: what was left is named there.
// An uncaught error is logged with its stack and ends the process with code 1: state of unknown soundness must not
// go on deciding about traffic.
import { longestTimerMs } from '@wishbone/core/timers'
import type { Logger } from '../log/index.ts'
import { endEarly } from './end-early.ts'

export interface ProgramContext {
  /** Aborted when the program shall stop. */
  readonly signal: AbortSignal
  readonly log: Logger
  /** Asks for the end as SIGTERM does (admin endpoint /quitquitquit). */
  stop(reason: string): void
}

export interface ProgramOptions {
  readonly log: Logger
  /** Limit of the drain in milliseconds; default 300 s. */
  readonly drainMs?: number
}

function onWarnings(log: Logger): void {
  process.removeAllListeners('warning')
  process.on('warning', (warning) => {
    // node:ffi is used on purpose and its version is pinned; saying so at every start helps nobody.
    if (warning.name === 'ExperimentalWarning') return
    log.warn('warning of the runtime', { warning: warning.name, detail: warning.message })
  })
}

function fatal(log: Logger, message: string, cause: unknown): never {
  const stack = cause instanceof Error ? cause.stack : undefined
  log.error(message, { error: cause instanceof Error ? cause : String(cause), stack })
  log.flush()
  process.exit(1)
}

/** Runs main until a signal, then disposes its result and exits. It resolves only in the process's last turn. */
export async function runProgram(
  main: (context: ProgramContext) => Promise<AsyncDisposable>,
  options: ProgramOptions,
): Promise<void> {
  const { log } = options
  const controller = new AbortController()
  onWarnings(log)
  process.on('uncaughtException', (cause) => fatal(log, 'uncaught error, the program ends', cause))
  process.on('unhandledRejection', (cause) => fatal(log, 'unhandled rejection, the program ends', cause))

  // A timer that is set for longer fires at once.
  const drainMs = Math.min(options.drainMs ?? 300_000, longestTimerMs)
  /** From the signal on: what is still starting may hang as well. */
  let limit: NodeJS.Timeout | undefined
  const { promise: stopped, resolve } = Promise.withResolvers<string>()
  const stop = (reason: string) => {
    if (controller.signal.aborted) {
      log.warn('told to stop again, the program ends without draining', { reason })
      log.flush()
      process.exit(1)
    }
    controller.abort(new Error(`stopping: ${reason}`))
    limit = setTimeout(() => {
      log.warn('the drain took longer than its limit; connections that are left are closed', { limit: `${drainMs}ms` })
      log.flush()
      process.exit(0)
    }, drainMs)
    resolve(reason)
  }
  process.on('SIGTERM', () => stop('SIGTERM'))
  process.on('SIGINT', () => stop('SIGINT'))
  // Only now, so that a signal always finds somebody.
  process.off('SIGTERM', endEarly)

  let running: AsyncDisposable
  try {
    running = await main({ signal: controller.signal, log, stop })
  } catch (cause) {
    if (!controller.signal.aborted) fatal(log, 'the program could not start', cause)
    log.flush()
    process.exit(0)
  }

  const reason = await stopped
  log.info('draining', { reason, limit: `${drainMs}ms` })
  try {
    await running[Symbol.asyncDispose]()
  } catch (cause) {
    fatal(log, 'the drain failed', cause)
  }
  clearTimeout(limit)
  log.info('ended')
  log.flush()
  process.exit(0)
}
