// A pod's status as a function of what its containers do. Pure.
import { timestamp } from '../api/objects/object.ts'
import type { Condition, Container, ContainerState, ContainerStatus, Pod, PodStatus } from '../types.ts'

export interface ContainerRun {
  readonly container: Container
  readonly state: ContainerState
  readonly lastState: ContainerState
  readonly restarts: number
  /** Startup probe passed. */
  readonly started: boolean
  readonly ready: boolean
  readonly id?: string
}

export interface PodFacts {
  readonly podIps: readonly string[]
  readonly hostIp: string
  readonly init: readonly ContainerRun[]
  readonly main: readonly ContainerRun[]
}

const ownTypes = ['PodScheduled', 'PodReadyToStartContainers', 'Initialized', 'ContainersReady', 'Ready']

function statusOf(run: ContainerRun): ContainerStatus {
  return {
    name: run.container.name,
    image: run.container.image,
    imageID: run.container.image,
    ...(run.id ? { containerID: run.id } : {}),
    ready: run.ready,
    started: run.started,
    restartCount: run.restarts,
    state: run.state,
    lastState: run.lastState,
  }
}

export function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always'
}

export function phaseOf(pod: Pod, facts: PodFacts): 'Pending' | 'Running' | 'Succeeded' | 'Failed' {
  const policy = pod.spec.restartPolicy ?? 'Always'
  const initFailed = facts.init.some((run) => run.state.terminated && run.state.terminated.exitCode !== 0)
  if (initFailed && policy === 'Never') return 'Failed'
  const ended = facts.main.filter((run) => run.state.terminated)
  if (facts.main.length > 0 && ended.length === facts.main.length && policy !== 'Always') {
    const failed = ended.some((run) => run.state.terminated?.exitCode !== 0)
    if (!failed) return 'Succeeded'
    if (policy === 'Never') return 'Failed'
  }
  return facts.main.some((run) => run.state.running ?? run.state.terminated ?? run.lastState.terminated)
    ? 'Running'
    : 'Pending'
}

/** The whole status; transition times move only with their condition, foreign conditions are kept. */
export function podStatus(pod: Pod, facts: PodFacts): PodStatus {
  const phase = phaseOf(pod, facts)
  const over = phase === 'Succeeded' || phase === 'Failed'
  const initialized = facts.init.every((run) =>
    isSidecar(run.container) ? run.started : run.state.terminated?.exitCode === 0,
  )
  const allReady =
    facts.main.every((run) => run.ready) && facts.init.every((run) => !isSidecar(run.container) || run.ready)
  const containersReady = initialized && allReady && facts.main.length > 0
  const unready = facts.main.filter((run) => !run.ready).map((run) => run.container.name)
  const before = pod.status?.conditions ?? []
  const condition = (type: string, holds: boolean, reason?: string, message?: string): Condition => {
    const status = holds ? 'True' : 'False'
    const old = before.find((candidate) => candidate.type === type)
    const since = old?.status === status ? (old.lastTransitionTime ?? timestamp()) : timestamp()
    return {
      type,
      status,
      lastTransitionTime: since,
      ...(!holds && reason ? { reason } : {}),
      ...(!holds && message ? { message } : {}),
    }
  }
  const why = over ? 'PodCompleted' : 'ContainersNotReady'
  const message = `containers with unready status: [${unready.join(' ')}]`
  return {
    phase,
    ...(facts.podIps[0] ? { podIP: facts.podIps[0], podIPs: facts.podIps.map((ip) => ({ ip })) } : {}),
    hostIP: facts.hostIp,
    conditions: [
      ...before.filter((candidate) => !ownTypes.includes(candidate.type)),
      condition('PodScheduled', true),
      condition('PodReadyToStartContainers', facts.podIps.length > 0),
      condition('Initialized', initialized, 'ContainersNotInitialized'),
      condition('ContainersReady', containersReady, why, message),
      condition('Ready', containersReady, why, message),
    ],
    containerStatuses: facts.main.map(statusOf),
    initContainerStatuses: facts.init.map(statusOf),
  }
}
