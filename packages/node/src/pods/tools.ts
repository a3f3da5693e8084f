// What a pod's worker acts with. Tests hand in their own.
import type { Logger } from '@wishbone/runtime/log'
import type { ZdsWorkload } from '@wishbone/runtime/zds'
import type { Capture } from '../enrolment/decide.ts'
import type { PodRuleFacts } from '../rules/pod-rules.ts'
import type { PodIdentity } from './identity.ts'

/** All in ms. */
export interface LeavingTimes {
  /** How long a withdrawn pod is still captured, unless all proxies have acknowledged the withdrawal before. */
  readonly withdrawMs: number
  /** How long the DNS queries that were redirected last may take. */
  readonly lookupsMs: number
  /** How long connections that are open may go on when the pod leaves. */
  readonly drainMs: number
}

export interface WorkerTools {
  readonly log: Logger
  readonly namespaces: { open(uid: string): number | undefined }
  readonly rules: {
    capture(nsFd: number, facts: PodRuleFacts): void
    release(nsFd: number, facts: PodRuleFacts): void
    clear(nsFd: number): void
    isCaptured(nsFd: number): boolean
    chainNames(nsFd: number): readonly string[]
  }
  readonly probes: {
    set(uid: string, ips: readonly string[], ports: readonly number[]): Promise<void>
    delete(uid: string): Promise<void>
  }
  times(): LeavingTimes
  ruleFacts(capture: Capture): PodRuleFacts
  /** Hands the namespace to ztunnel; resolves with its acknowledgement. */
  add(workload: ZdsWorkload): Promise<void>
  del(uid: string): Promise<void>
  /** Writes or removes the annotation by which the controller advertises HBONE; resolves with the pod's new version. */
  advertise(pod: PodIdentity, enrolled: boolean): Promise<string | undefined>
  /** Whether every proxy has been told of the pod as it was at that version. */
  isAcknowledged(pod: PodIdentity, version: string): Promise<boolean>
  isAdvertised(pod: PodIdentity): boolean
  countTunnelled(nsFd: number, ips: readonly string[]): number
  /** Reports a failure on the pod itself; never rejects. */
  failed(pod: PodIdentity, error: Error): Promise<void>
}
