// Watches the Gateways for a person: until all are settled, and then what becomes of them.

import { delay } from '@wishbone/runtime/lifecycle'
import { keyOf } from '../api/objects/object.ts'
import type { Mirror } from '../client/mirror.ts'
import { type Gateway, type ListenerSet, linksOf, outcomeOf } from './gateways.ts'
import type { PodProcess } from './pod-process.ts'

export interface FollowOptions {
  readonly gateways: Mirror<Gateway>
  readonly listenerSets: Pick<Mirror<ListenerSet>, 'all'>
  readonly processOf: (gateway: string) => PodProcess | undefined
  readonly portOffset: number
  readonly warn: (text: string) => void
  readonly tellLinks: (links: readonly string[]) => void
  readonly signal: AbortSignal
}

const settleMs = 60_000
/** A controller that is ready has looked at every Gateway after so long. */
const lookMs = 3_000
const periodMs = 1_000

export interface SettleOptions extends Pick<FollowOptions, 'gateways' | 'processOf' | 'signal'> {
  readonly controlPlane: Pick<PodProcess, 'isReady'>
  readonly progress: (text: string) => void
}

/** Resolves when each Gateway serves or it is known why not, at the latest after a minute. */
export async function untilSettled(options: SettleOptions): Promise<void> {
  const { gateways, processOf, controlPlane, progress, signal } = options
  const end = Date.now() + settleMs
  let said = ''
  const say = (text: string): void => {
    if (text !== said) progress(text)
    said = text
  }
  let readySince: number | undefined
  while (!signal.aborted && Date.now() < end) {
    if (controlPlane.isReady) readySince ??= Date.now()
    const hasLooked = readySince !== undefined && Date.now() - readySince > lookMs
    const waiting = [...gateways.all()].filter((gateway) => {
      const { kind } = outcomeOf(gateway)
      if (closedPorts(processOf(keyOf(gateway))?.waitsFor ?? '').length > 0) return false
      return kind === 'pending' || (kind === 'ignored' && !hasLooked)
    })
    if (readySince !== undefined && waiting.length === 0) return
    say(readySince === undefined ? 'waiting for the controller' : `waiting for ${waiting.map(keyOf).join(', ')}`)
    await delay(50, signal)
  }
}

/** Links as they change; Gateways that nobody serves and ports that cannot be opened, each said once. */
export function followGateways(options: FollowOptions): void {
  const { gateways, listenerSets, portOffset, signal } = options
  let shown: string | undefined
  let standing = new Map<string, number>()
  const look = (): void => {
    const links = [...gateways.all()].flatMap((gateway) => linksOf(gateway, portOffset, listenerSets.all()))
    if (links.join() !== shown) options.tellLinks(links)
    shown = links.join()
    const now = new Map<string, number>()
    for (const complaint of complaintsOf(options)) {
      const looks = (standing.get(complaint) ?? 0) + 1
      now.set(complaint, looks)
      if (looks === 2) options.warn(complaint)
    }
    standing = now
  }
  look()
  const timer = setInterval(look, periodMs)
  signal.addEventListener('abort', () => clearInterval(timer), { once: true })
}

function complaintsOf({ gateways, processOf }: FollowOptions): readonly string[] {
  return [...gateways.all()].flatMap((gateway) => {
    const name = keyOf(gateway)
    if (outcomeOf(gateway).kind === 'ignored')
      return [
        `Gateway ${name}: nothing serves its class ${gateway.spec.gatewayClassName}; use gatewayClassName: wishbone`,
      ]
    return closedPorts(processOf(name)?.waitsFor ?? '').map(
      (text) => `Gateway ${name}: ${text}; it is tried again until it can be opened`,
    )
  })
}

/** The ports in what a waypoint says that its readiness waits for. Pure. */
export function closedPorts(readiness: string): readonly string[] {
  return [...readiness.matchAll(/port \d+(?:\/udp)?: [^,]+/g)].map(([text]) => text.trim())
}
