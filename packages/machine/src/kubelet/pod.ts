// One pod's life on its node: network, mesh (CNI), volumes, init containers, containers, its end.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { delay } from '@wishbone/runtime/lifecycle'
import type { PodLink } from '../network/fabric.ts'
import type { Container, Pod } from '../types.ts'
import { PodAccessError } from './access.ts'
import { type ContainerHost, ContainerRunner } from './container.ts'
import { environmentOf, type Lookup, NotYet } from './environment.ts'
import { type Image, isOwnImage, resolveCommand } from './images.ts'
import { type ProcessFacts, userOf } from './process.ts'
import { isSidecar, podStatus } from './status.ts'
import { mountsOf, type TokenSource, writeVolumes } from './volumes.ts'

/** What a pod needs of its node and of the cluster. */
export interface PodHost {
  readonly node: {
    readonly name: string
    readonly ip: string
    readonly folder: string
    readonly netns: number
    readonly netnsPath: string
  }
  readonly folder: string
  readonly logFolder: string
  readonly lookup: Lookup
  readonly tokens: TokenSource
  readonly images: () => ReadonlyMap<string, Image>
  readonly resolvConf: (pod: Pod) => string
  readonly serviceEnvironment: Readonly<Record<string, string>>
  /** False where only one user exists (a user namespace without subordinate ids). */
  readonly otherUsers: boolean
  connect(pod: Pod): PodLink
  /** Brings the pod into the mesh if it is to be there; rejects with a message for the pod's events. */
  enrol(pod: Pod, link: PodLink): Promise<void>
  writeStatus(pod: Pod, status: ReturnType<typeof podStatus>): Promise<void>
  /** Tells the API server that nothing of the pod is left. */
  finish(pod: Pod): Promise<void>
  event(pod: Pod, reason: string, message: string, type: 'Normal' | 'Warning'): void
}

export class PodRunner {
  readonly #host: PodHost
  #pod: Pod
  #link: PodLink | undefined
  #init: ContainerRunner[] = []
  #main: ContainerRunner[] = []
  #folders: ReadonlyMap<string, string> = new Map()
  #stopping = false
  #written = ''
  #writing: Promise<void> | undefined
  #again = false
  #problem: { reason: string; message: string } | undefined
  readonly #refused = new Set<string>()

  constructor(host: PodHost, pod: Pod) {
    this.#host = host
    this.#pod = pod
  }

  get pod(): Pod {
    return this.#pod
  }

  update(pod: Pod): void {
    this.#pod = pod
    if (pod.metadata.deletionTimestamp && !this.#stopping) void this.#end()
  }

  get #isHost(): boolean {
    return this.#pod.spec.hostNetwork ?? false
  }

  async live(): Promise<void> {
    try {
      mkdirSync(this.#host.folder, { recursive: true })
      if (!this.#isHost) this.#link = this.#host.connect(this.#pod)
      this.#setSysctls()
      this.#prepareRunners()
      this.#changed()
      if (this.#link) await this.#untilEnrolled(this.#link)
      await this.#untilVolumes()
      if (this.#stopping) return
      if (!(await this.#runInit())) return
      await Promise.all(this.#main.map((runner) => runner.live()))
      if (this.#stopping) return
      for (const runner of this.#init) await runner.stop(1_000)
      await this.#flush()
      this.#disconnect()
    } catch (cause) {
      this.#host.event(this.#pod, 'FailedPod', `the pod cannot run: ${(cause as Error).message}`, 'Warning')
    }
  }

  #setSysctls(): void {
    for (const { name, value } of this.#pod.spec.securityContext?.sysctls ?? []) {
      try {
        this.#link?.setSysctl(name, value)
      } catch (cause) {
        this.#host.event(
          this.#pod,
          'SysctlForbidden',
          `${name}=${value} could not be set: ${(cause as Error).message}`,
          'Warning',
        )
      }
    }
  }

  #prepareRunners(): void {
    const host: ContainerHost = {
      pod: () => this.#pod,
      facts: this.#factsFor([]),
      nodeNetns: this.#host.node.netns,
      podIp: this.#link?.ips[0] ?? this.#host.node.ip,
      prepare: (container) => this.#prepare(container),
      logPath: (container, attempt) => join(this.#host.logFolder, container.name, `${attempt}.log`),
      changed: () => this.#changed(),
      event: (reason, message, type = 'Normal') => this.#host.event(this.#pod, reason, message, type),
    }
    const create = (container: Container, init: boolean): ContainerRunner => {
      const self = this
      const own: ContainerHost = {
        ...host,
        get facts() {
          return self.#factsFor(mountsOf(self.#pod, container, self.#folders).mounts)
        },
      }
      return new ContainerRunner(own, container, init)
    }
    this.#init = (this.#pod.spec.initContainers ?? []).map((container) => create(container, true))
    this.#main = this.#pod.spec.containers.map((container) => create(container, false))
    this.#writeFiles()
  }

  #factsFor(mounts: ProcessFacts['mounts']): ProcessFacts {
    return {
      netns: this.#link?.path ?? this.#host.node.netnsPath,
      hostname: this.#isHost ? this.#host.node.name : (this.#pod.spec.hostname ?? this.#pod.metadata.name).slice(0, 63),
      mounts,
      resolvConf: join(this.#host.folder, 'resolv.conf'),
      hosts: join(this.#host.folder, 'hosts'),
    }
  }

  #writeFiles(): void {
    writeFileSync(join(this.#host.folder, 'resolv.conf'), this.#host.resolvConf(this.#pod))
    const name = this.#pod.spec.hostname ?? this.#pod.metadata.name
    const own = (this.#link?.ips ?? [this.#host.node.ip]).map((ip) => `${ip} ${name}\n`).join('')
    writeFileSync(join(this.#host.folder, 'hosts'), `127.0.0.1 localhost\n::1 localhost ip6-localhost\n${own}`)
  }

  #prepare(container: Container): ReturnType<ContainerHost['prepare']> {
    const resolved = resolveCommand(container, this.#host.images())
    if (resolved.kind === 'unmapped') throw new NotYet('ImageNotMapped', resolved.message)
    // The mesh's own programs need no user of their own where there is only one.
    const wanted = userOf(this.#pod, container)
    const user = wanted && !this.#host.otherUsers && isOwnImage(container.image) ? undefined : wanted
    if (user && !this.#host.otherUsers) {
      throw new NotYet(
        'RunAsUserNotPossible',
        `container ${container.name} wants UID ${user.uid}: without root and subordinate ids only one user exists here`,
      )
    }
    for (const text of mountsOf(this.#pod, container, this.#folders).refused) {
      if (this.#refused.has(text)) continue
      this.#refused.add(text)
      this.#host.event(this.#pod, 'VolumeNotMounted', text, 'Warning')
    }
    const env = {
      HOSTNAME: this.#pod.metadata.name,
      ...this.#host.serviceEnvironment,
      ...resolved.env,
      ...environmentOf(this.#withIps(), container, this.#host.lookup, this.#host.node),
    }
    return { words: resolved.words, workingDir: resolved.workingDir, env, user }
  }

  /** The pod with its addresses, which the API server may not have sent back yet. */
  #withIps(): Pod {
    const ips = this.#ips
    const [podIP] = ips
    return podIP
      ? { ...this.#pod, status: { ...this.#pod.status, podIP, podIPs: ips.map((ip) => ({ ip })) } }
      : this.#pod
  }

  get #ips(): readonly string[] {
    return this.#link?.ips ?? (this.#isHost ? [this.#host.node.ip] : [])
  }

  async #untilEnrolled(link: PodLink): Promise<void> {
    // The address must be known before the mesh is asked: ztunnel learns of the workload through the API server.
    await this.#flush()
    for (let pauseMs = 100; !this.#stopping; pauseMs = Math.min(pauseMs * 2, 5_000)) {
      try {
        await this.#host.enrol(this.#pod, link)
        this.#problem = undefined
        return
      } catch (cause) {
        this.#report('FailedCreatePodSandBox', (cause as Error).message)
        await delay(pauseMs)
      }
    }
  }

  async #untilVolumes(): Promise<void> {
    while (!this.#stopping) {
      try {
        await this.refreshVolumes()
        this.#problem = undefined
        return
      } catch (cause) {
        this.#report((cause as { reason?: string }).reason ?? 'FailedMount', (cause as Error).message)
        await delay(150)
      }
    }
  }

  async refreshVolumes(): Promise<void> {
    this.#folders = await writeVolumes(this.#withIps(), {
      lookup: this.#host.lookup,
      tokens: this.#host.tokens,
      node: this.#host.node,
      folder: this.#host.folder,
    })
  }

  #report(reason: string, message: string): void {
    if (this.#problem?.message === message) return
    this.#problem = { reason, message }
    // Waiting for something that usually comes is no warning.
    this.#host.event(this.#pod, reason, message, reason === 'ContainerCreating' ? 'Normal' : 'Warning')
    this.#changed()
  }

  async #runInit(): Promise<boolean> {
    for (const runner of this.#init) {
      if (isSidecar(runner.run.container)) {
        void runner.live()
        while (!runner.run.started && !this.#stopping) await delay(30)
      } else {
        await runner.live()
        if (runner.run.state.terminated?.exitCode !== 0) return false
      }
      if (this.#stopping) return false
    }
    return true
  }

  #changed(): void {
    this.#again = true
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined
    })
  }

  /** Writes the newest status; changes meanwhile are written together. */
  async #write(): Promise<void> {
    while (this.#again) {
      await delay(5)
      this.#again = false
      const status = podStatus(this.#pod, {
        podIps: this.#ips,
        hostIp: this.#host.node.ip,
        init: this.#init.map((runner) => runner.run),
        main: this.#main.map((runner) => this.#withProblem(runner.run)),
      })
      const text = JSON.stringify(status)
      if (text === this.#written) continue
      try {
        await this.#host.writeStatus(this.#pod, status)
        this.#written = text
      } catch (cause) {
        if ((cause as { status?: number }).status === 404) return
        this.#again = true
        await delay(200)
      }
    }
  }

  #withProblem(run: ContainerRunner['run']): ContainerRunner['run'] {
    return run.state.waiting && this.#problem ? { ...run, state: { waiting: this.#problem } } : run
  }

  async #flush(): Promise<void> {
    this.#changed()
    await this.#writing
  }

  #disconnect(): void {
    this.#link?.close()
  }

  async #end(): Promise<void> {
    this.#stopping = true
    const graceMs =
      (this.#pod.metadata.deletionGracePeriodSeconds ?? this.#pod.spec.terminationGracePeriodSeconds ?? 30) * 1_000
    await Promise.all([...this.#main, ...this.#init].map((runner) => runner.stop(graceMs)))
    await this.#writing
    this.#disconnect()
    await this.#host.finish(this.#pod)
    rmSync(this.#host.folder, { recursive: true, force: true })
  }

  /** The container that a user means: the one named, or the first. */
  container(name: string | undefined): ContainerRunner {
    const all = [...this.#main, ...this.#init]
    const found = name ? all.find((runner) => runner.run.container.name === name) : this.#main[0]
    if (found) return found
    const names = all.map((runner) => runner.run.container.name).join(', ')
    throw new PodAccessError(
      400,
      `container ${name ?? ''} is not valid for pod ${this.#pod.metadata.name}; it has ${names}`,
    )
  }

  logPath(runner: ContainerRunner, previous: boolean): string {
    const attempt = previous ? runner.attempt - 1 : runner.attempt
    return join(this.#host.logFolder, runner.run.container.name, `${Math.max(0, attempt)}.log`)
  }

  get ip(): string | undefined {
    return this.#link ? this.#link.ips[0] : this.#host.node.ip
  }

  get netns(): number {
    return this.#link?.fd ?? this.#host.node.netns
  }
}
