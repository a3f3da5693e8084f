// One container's life: started, probed, hooked, restarted with back-off, stopped.
//
//   waiting ─start─▶ running ─exit─▶ terminated ─(restartPolicy)─▶ waiting (back-off 1 s, doubling to 5 min) …
//
// `stop()` ends it for good: preStop hook, SIGTERM, and SIGKILL when the grace period is over.
import type { ChildProcess } from 'node:child_process'
import { delay } from '@wishbone/runtime/lifecycle'
import { timestamp } from '../api/objects/object.ts'
import type { Container, ContainerState, Pod, Probe, ProbeHandler } from '../types.ts'
import { openLog } from './logs.ts'
import { attempt, type ProbeTarget } from './probes.ts'
import { type ProcessFacts, type StartOptions, signalGroup, startInside, startProcess } from './process.ts'
import { type ContainerRun, isSidecar } from './status.ts'

export interface ContainerHost {
  readonly pod: () => Pod
  readonly facts: ProcessFacts
  readonly nodeNetns: number
  readonly podIp: string
  /** What to run now; throws NotYet with a reason while something is missing. */
  prepare(container: Container): StartOptions
  logPath(container: Container, attempt: number): string
  changed(): void
  event(reason: string, message: string, type?: 'Normal' | 'Warning'): void
}

const maxBackoffMs = 300_000

export class ContainerRunner {
  readonly #host: ContainerHost
  readonly #container: Container
  readonly #init: boolean
  #state: ContainerState = { waiting: { reason: 'ContainerCreating' } }
  #lastState: ContainerState = {}
  #restarts = 0
  #started = false
  #ready = false
  #child: ChildProcess | undefined
  #stopping = false
  /** That it crashes again and again is said once. */
  #crashed = false
  readonly #stop = new AbortController()
  #options: StartOptions | undefined

  constructor(host: ContainerHost, container: Container, init: boolean) {
    this.#host = host
    this.#container = container
    this.#init = init
  }

  get run(): ContainerRun {
    const pid = this.#child?.pid
    return {
      container: this.#container,
      state: this.#state,
      lastState: this.#lastState,
      restarts: this.#restarts,
      started: this.#started,
      ready: this.#ready,
      ...(pid === undefined ? {} : { id: `process://${pid}` }),
    }
  }

  /** What a command in the container needs; undefined while it does not run. */
  get inside(): { readonly pid: number; readonly options: StartOptions } | undefined {
    const pid = this.#child?.pid
    return this.#state.running && pid !== undefined && this.#options ? { pid, options: this.#options } : undefined
  }

  get attempt(): number {
    return this.#restarts
  }

  get isOver(): boolean {
    return this.#state.terminated !== undefined
  }

  #set(state: ContainerState): void {
    if (this.#state.terminated) this.#lastState = this.#state
    this.#state = state
    if (!state.running) {
      this.#ready = false
      this.#started = false
    }
    this.#host.changed()
  }

  #shouldRestart(exitCode: number): boolean {
    if (this.#stopping) return false
    if (isSidecar(this.#container)) return true
    const policy = this.#host.pod().spec.restartPolicy ?? 'Always'
    if (this.#init) return exitCode !== 0 && policy !== 'Never'
    return policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0)
  }

  /** Runs until the container is over for good. */
  async live(): Promise<void> {
    let backoffMs = 1_000
    while (!this.#stopping) {
      const began = Date.now()
      const exitCode = await this.#once()
      if (exitCode === undefined) continue
      if (!this.#shouldRestart(exitCode)) return
      if (Date.now() - began > 600_000) backoffMs = 1_000
      await delay(Math.min(backoffMs, 1_000), this.#stop.signal)
      if (this.#stopping) return
      if (backoffMs > 1_000) {
        const message = `back-off ${Math.round(backoffMs / 1000)}s restarting failed container=${this.#container.name}`
        this.#set({ waiting: { reason: 'CrashLoopBackOff', message } })
        if (!this.#crashed) {
          const { name, namespace } = this.#host.pod().metadata
          this.#host.event(
            'BackOff',
            `container ${this.#container.name} ended with exit status ${exitCode} again and is restarted ever later; why: kubectl logs -n ${namespace} ${name} -c ${this.#container.name} --previous`,
            'Warning',
          )
        }
        this.#crashed = true
        await delay(backoffMs, this.#stop.signal)
      }
      backoffMs = Math.min(backoffMs * 2, maxBackoffMs)
      this.#restarts++
    }
  }

  /** One start to its end; the exit status, or undefined when it could not be started yet. */
  async #once(): Promise<number | undefined> {
    let options: StartOptions
    try {
      options = this.#host.prepare(this.#container)
    } catch (cause) {
      const reason = (cause as { reason?: string }).reason ?? 'CreateContainerConfigError'
      const message = (cause as Error).message
      if (this.#state.waiting?.message !== message) {
        this.#set({ waiting: { reason, message } })
        this.#host.event(reason, message, 'Warning')
      }
      await delay(500, this.#stop.signal)
      return undefined
    }
    this.#options = options
    const log = openLog(this.#host.logPath(this.#container, this.#restarts))
    const startedAt = timestamp()
    const child = startProcess(this.#host.facts, options)
    this.#child = child
    child.stdout?.on('data', (chunk: Buffer) => log.write(chunk))
    child.stderr?.on('data', (chunk: Buffer) => log.write(chunk))
    const ended = new Promise<{ code: number; signal?: NodeJS.Signals }>((resolve) => {
      child.on('error', (cause) => {
        log.write(Buffer.from(`${cause.message}\n`))
        resolve({ code: 128 })
      })
      child.on('close', (code, signal) => resolve(signal ? { code: 137, signal } : { code: code ?? 1 }))
    })
    this.#set({ running: { startedAt } })
    const over = new AbortController()
    void this.#attend(over.signal)
    const { code } = await ended
    over.abort()
    log.close()
    this.#child = undefined
    this.#set({
      terminated: { exitCode: code, reason: code === 0 ? 'Completed' : 'Error', startedAt, finishedAt: timestamp() },
    })
    return code
  }

  get #target(): ProbeTarget {
    return {
      nodeNetns: this.#host.nodeNetns,
      podIp: this.#host.podIp,
      container: this.#container,
      run: (command, timeoutMs) => this.#runInside(command, timeoutMs),
    }
  }

  #runInside(command: readonly string[], timeoutMs: number): Promise<{ code: number; output: string }> {
    const { inside } = this
    if (!inside) return Promise.resolve({ code: 1, output: 'the container does not run' })
    return new Promise((resolve) => {
      const child = startInside(inside.pid, { ...inside.options, words: command })
      child.stdin?.end()
      let output = ''
      const take = (chunk: Buffer): void => {
        if (output.length < 10_000) output += chunk.toString('utf8')
      }
      child.stdout?.on('data', take)
      child.stderr?.on('data', take)
      const timer = setTimeout(() => child.pid && signalGroup(child.pid, 'SIGKILL'), timeoutMs)
      child.on('error', (cause) => resolve({ code: 126, output: cause.message }))
      child.on('close', (code) => {
        clearTimeout(timer)
        resolve({ code: code ?? 137, output })
      })
    })
  }

  async #hook(handler: ProbeHandler, name: string, timeoutMs: number): Promise<boolean> {
    const result = await attempt(handler, this.#target, timeoutMs)
    if (!result.ok)
      this.#host.event(
        `Failed${name}Hook`,
        `${name} of container ${this.#container.name}: ${result.message}`,
        'Warning',
      )
    return result.ok
  }

  /** postStart, then probes for as long as the container runs. */
  async #attend(signal: AbortSignal): Promise<void> {
    const { lifecycle, startupProbe, readinessProbe, livenessProbe } = this.#container
    // The command runs a moment after its wrapper; a hook or probe must not beat it into the namespaces.
    await delay(30)
    if (lifecycle?.postStart && !(await this.#hook(lifecycle.postStart, 'PostStart', 120_000)))
      return this.kill('SIGKILL')
    if (startupProbe && !(await this.#untilStarted(startupProbe, signal))) return
    if (signal.aborted) return
    this.#started = true
    if (!readinessProbe) this.#ready = true
    this.#host.changed()
    if (readinessProbe) void this.#repeat(readinessProbe, signal, (ok, message) => this.#setReady(ok, message))
    if (livenessProbe) {
      void this.#repeat(livenessProbe, signal, (ok, message) => {
        if (ok) return undefined
        this.#host.event(
          'Unhealthy',
          `Liveness probe failed: ${message}; container ${this.#container.name} will be restarted`,
          'Warning',
        )
        this.kill('SIGTERM')
        return undefined
      })
    }
  }

  async #untilStarted(probe: Probe, signal: AbortSignal): Promise<boolean> {
    let passed = false
    await this.#repeat(probe, signal, (ok, message) => {
      passed = ok
      if (!ok) {
        this.#host.event('Unhealthy', `Startup probe failed: ${message}`, 'Warning')
        this.kill('SIGTERM')
      }
      return 'enough'
    })
    return passed
  }

  #setReady(ready: boolean, message: string): undefined {
    if (this.#ready === ready) return undefined
    this.#ready = ready
    if (!ready) this.#host.event('Unhealthy', `Readiness probe failed: ${message}`, 'Warning')
    this.#host.changed()
    return undefined
  }

  /** Probes until the signal; tells each change that passed its threshold. The first success needs no full period. */
  async #repeat(
    probe: Probe,
    signal: AbortSignal,
    tell: (ok: boolean, message: string) => 'enough' | undefined,
  ): Promise<void> {
    const periodMs = (probe.periodSeconds ?? 10) * 1_000
    let inARow = 0
    let last: boolean | undefined
    let everOk = false
    await delay((probe.initialDelaySeconds ?? 0) * 1_000, signal)
    for (let round = 0; !signal.aborted; round++) {
      const result = await attempt(probe, this.#target, (probe.timeoutSeconds ?? 1) * 1_000)
      if (signal.aborted) return
      inARow = last === result.ok ? inARow + 1 : 1
      last = result.ok
      const threshold = result.ok ? (probe.successThreshold ?? 1) : (probe.failureThreshold ?? 3)
      if (inARow >= threshold && tell(result.ok, result.ok ? '' : result.message) === 'enough') return
      everOk ||= result.ok
      // A starting container is looked at more often, as a kubelet does after a start.
      const pauseMs = everOk ? periodMs : Math.min(periodMs, round < 50 ? 100 : 1_000)
      await delay(pauseMs, signal)
    }
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#child?.pid !== undefined) signalGroup(this.#child.pid, signal)
  }

  /** Ends the container for good; resolves when it has ended. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true
    this.#stop.abort()
    const deadline = Date.now() + graceMs
    const { preStop } = this.#container.lifecycle ?? {}
    if (preStop && this.#child && graceMs > 0) await this.#hook(preStop, 'PreStop', graceMs)
    this.kill(graceMs > 0 ? 'SIGTERM' : 'SIGKILL')
    while (this.#child && Date.now() < deadline) await delay(20)
    this.kill('SIGKILL')
    while (this.#child) await delay(10)
  }
}
