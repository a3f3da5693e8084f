// What every pod's proxy is handed: the shared state, the reporters, and the numbers of this installation.
import type { MeshState } from '@wishbone/core/mesh'
import type { CertificateManager } from '@wishbone/runtime/certificates'
import type { Logger } from '@wishbone/runtime/log'
import type { DnsResolver } from '../dns/resolver.ts'
import type { Reporter } from '../report/reporter.ts'
import type { Pick } from '../state/pick.ts'

export interface ProxySettings {
  readonly trustDomain: string
  readonly network: string
  /** SO_MARK of every socket that must not be captured again. */
  readonly mark: number
  /** Listen on [::] (both families); where IPv6 is off in a pod, 0.0.0.0 is used. */
  readonly ipv6: boolean
  readonly dns: boolean
  /** Keep the client's address towards the application: always, never, or where it can be had. */
  readonly sourceAddress: 'always' | 'never' | 'best-effort'
  readonly responseBaggage: boolean
  readonly connectTimeoutMs: number
  /** How long a connection waits for the pod's own workload. */
  readonly workloadWaitMs: number
  /** How long a connection waits for a policy that is named but not there. */
  readonly policyWaitMs: number
}

export interface ProxyContext {
  readonly state: MeshState
  readonly pick: Pick
  readonly certificates: CertificateManager
  readonly reporter: Reporter
  readonly dns: DnsResolver
  readonly log: Logger
  readonly settings: ProxySettings
  readonly random: () => number
}

export const defaultProxySettings: ProxySettings = {
  trustDomain: 'cluster.local',
  network: '',
  mark: 0x539,
  ipv6: true,
  dns: true,
  sourceAddress: 'best-effort',
  responseBaggage: true,
  connectTimeoutMs: 10_000,
  workloadWaitMs: 5_000,
  policyWaitMs: 2_000,
}
