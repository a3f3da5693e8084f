// A Pod object and the process that stands for it: started again when it ends, Ready when the process says so, and gone when
// the process is.
//
//   start() ─▶ starting ─▶ running ─(exit)─▶ waiting (1 s, doubling to 30 s) ─▶ running …
//   stop() ─▶ SIGTERM ─(exit, or SIGKILL after the grace period)─▶ the Pod object is removed
import { join } from 'node:path'
import { delay } from '@wishbone/runtime/lifecycle'
import { timestamp } from '../api/objects/object.ts'
import { resources } from '../client/api.ts'
import type { Context } from '../controllers/context.ts'
import { podStatus } from '../kubelet/status.ts'
import type { ContainerState, Pod } from '../types.ts'
import { askReadiness, type RunningProgram, startProgram } from './program.ts'

/** What to start, made anew for each start; may reject while something is missing, which is tried again. */
export interface Preparation {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly readinessUrl: string
}

export interface PodProcessOptions {
  readonly context: Context
  readonly pod: Pod
  readonly program: 'controller' | 'waypoint'
  readonly logFolder: string
  readonly prepare: () => Promise<Preparation>
  readonly warn: (text: string) => void
  readonly onEnd?: () => void
}

export const loopback = '127.0.0.1'
const maxBackoffMs = 30_000
const steadyMs = 60_000

export class PodProcess {
  readonly #options: PodProcessOptions
  readonly #over = new AbortController()
  #state: ContainerState = { waiting: { reason: 'ContainerCreating' } }
  #lastState: ContainerState = {}
  #restarts = 0
  #ready = false
  #waitsFor = ''
  #written = ''
  #running: RunningProgram | undefined
  #living: Promise<void> = Promise.resolve()
  #stopped: Promise<void> | undefined

  constructor(options: PodProcessOptions) {
    this.#options = options
  }

  get pod(): Pod {
    return this.#options.pod
  }

  get isReady(): boolean {
    return this.#ready
  }

  /** What the process last said that it waits for. */
  get waitsFor(): string {
    return this.#waitsFor
  }

  get isStopping(): boolean {
    return this.#over.signal.aborted
  }

  get logPath(): string {
    return join(this.#options.logFolder, `${this.#restarts}.log`)
  }

  get previousLogPath(): string | undefined {
    return this.#restarts === 0 ? undefined : join(this.#options.logFolder, `${this.#restarts - 1}.log`)
  }

  start(): void {
    this.#living = this.#live()
  }

  /** SIGTERM, SIGKILL after `graceMs`, and the Pod object is removed. */
  stop(graceMs: number): Promise<void> {
    this.#stopped ??= this.#stop(graceMs)
    return this.#stopped
  }

  /** Without mercy. */
  kill(): void {
    this.#running?.child.kill('SIGKILL')
  }

  async #stop(graceMs: number): Promise<void> {
    this.#over.abort()
    this.#running?.child.kill('SIGTERM')
    const timer = setTimeout(() => this.kill(), graceMs)
    await this.#living
    clearTimeout(timer)
    const { context, pod, onEnd } = this.#options
    await context.client.remove(resources.pods, pod.metadata.namespace, pod.metadata.name, 0).catch(() => {})
    onEnd?.()
  }

  async #live(): Promise<void> {
    let backoffMs = 1_000
    while (!this.isStopping) {
      const began = Date.now()
      const code = await this.#once()
      if (this.isStopping) return
      if (Date.now() - began > steadyMs) backoffMs = 1_000
      if (code !== undefined) {
        const { namespace, name } = this.pod.metadata
        this.#options.warn(
          `the process of pod ${namespace}/${name} ended with exit status ${code} and is started again; why: ${this.logPath}`,
        )
        this.#restarts++
      }
      await this.#pause(code === undefined ? 150 : backoffMs)
      if (code !== undefined) backoffMs = Math.min(backoffMs * 2, maxBackoffMs)
    }
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, this.#over.signal)
  }

  /** Undefined: it could not be started yet. */
  async #once(): Promise<number | undefined> {
    const { program, prepare } = this.#options
    let prepared: Preparation
    try {
      prepared = await prepare()
    } catch (cause) {
      await this.#set({ waiting: { reason: 'ContainerCreating', message: (cause as Error).message } })
      return undefined
    }
    if (this.isStopping) return undefined
    const { environment, readinessUrl } = prepared
    const running = startProgram({ program, environment, logPath: this.logPath })
    this.#running = running
    const startedAt = timestamp()
    await this.#set({ running: { startedAt } })
    const exited = new AbortController()
    const watching = this.#watchReadiness(readinessUrl, exited.signal)
    const code = await running.ended
    this.#running = undefined
    this.#ready = false
    exited.abort()
    await watching
    this.#lastState = this.#state
    const reason = code === 0 ? 'Completed' : 'Error'
    await this.#set({ terminated: { exitCode: code, reason, startedAt, finishedAt: timestamp() } })
    return code
  }

  async #watchReadiness(url: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const answer = await askReadiness(url, 2_000)
      if (signal.aborted) return
      this.#waitsFor = answer ?? ''
      if (this.#ready !== (answer === undefined)) {
        this.#ready = answer === undefined
        await this.#write()
      }
      await delay(this.#ready ? 1_000 : 100, signal)
    }
  }

  async #set(state: ContainerState): Promise<void> {
    this.#state = state
    await this.#write()
  }

  async #write(): Promise<void> {
    const { context, pod } = this.#options
    const [container] = pod.spec.containers
    if (container === undefined) return
    const { child } = this.#running ?? {}
    const run = {
      container,
      state: this.#state,
      lastState: this.#lastState,
      restarts: this.#restarts,
      started: this.#ready,
      ready: this.#ready,
      ...(child?.pid === undefined ? {} : { id: `process://${child.pid}` }),
    }
    const before = context.mirrors.pods.get(pod.metadata.namespace, pod.metadata.name) ?? pod
    const status = podStatus(before, { podIps: [loopback], hostIp: loopback, init: [], main: [run] })
    const text = JSON.stringify(status)
    if (text === this.#written) return
    const { namespace, name, uid } = pod.metadata
    try {
      await context.client.patch(resources.pods, namespace, name, { metadata: { uid }, status }, 'status')
      this.#written = text
    } catch (cause) {
      // Deleted: whoever runs us sees that and ends us.
      if ((cause as { status?: number }).status !== 404) context.log(`pod ${namespace}/${name}: ${String(cause)}`)
    }
  }
}
