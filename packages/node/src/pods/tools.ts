// What a pod's worker acts with. Tests hand in their own.
import type { Logger } from '@wishbone/runtime/log'
import type { ZdsWorkload } from '@wishbone/runtime/zds'
import type { Capture } from '../enrolment/decide.ts'
import type { PodRuleFacts } from '../rules/pod-rules.ts'
import type { PodIdentity } from './worker.ts'

export interface WorkerTools {
  readonly log: Logger
  readonly namespaces: { open(uid: string): number | undefined }
  readonly rules: {
    capture(nsFd: number, facts: PodRuleFacts): void
    release(nsFd: number, facts: PodRuleFacts): void
    clear(nsFd: number): void
    isCaptured(nsFd: number): boolean
  }
  readonly probes: {
    set(uid: string, ips: readonly string[], ports: readonly number[]): Promise<void>
    delete(uid: string): Promise<void>
  }
  /** How long a withdrawn pod is still captured. */
  readonly withdrawMs: number
  /** How long the DNS queries that were redirected last may take, in ms. */
  readonly lookupsMs: number
  /** How long connections that are open may go on when the pod leaves. */
  readonly drainMs: number
  ruleFacts(capture: Capture): PodRuleFacts
  /** Hands the namespace to ztunnel; resolves with its acknowledgement. */
  add(workload: ZdsWorkload): Promise<void>
  del(uid: string): Promise<void>
  /** Writes or removes the annotation by which the controller advertises HBONE. */
  advertise(pod: PodIdentity, enrolled: boolean): Promise<void>
  isAdvertised(pod: PodIdentity): boolean
  countTunnelled(nsFd: number, ips: readonly string[]): number
  /** Reports a failure on the pod itself; never rejects. */
  failed(pod: PodIdentity, error: Error): Promise<void>
}
