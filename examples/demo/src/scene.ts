// A scene is a promise to the user, played: what is done, what is expected, what was observed.
import type { Cluster } from '@wishbone/testing/cluster'

export interface Stage {
  readonly cluster: Cluster
  /** Says what is being done, as the command a user would type where there is one. */
  doing(text: string): void
  /** Says what is expected and what was observed; a difference ends the scene. */
  check(expected: string, holds: boolean, observed: unknown): void
  /** Says that something can't be shown here, and why. */
  notApplicable(what: string, why: string): void
  /** A URL on this machine that leads to the Gateway's HTTP listener. */
  gatewayUrl(namespace: string, name: string, port: number): Promise<string>
  /** Has workload certificates live for less than a minute until it is disposed of. */
  shortCertificates(): Promise<AsyncDisposable>
  /** An image of an earlier build that the nodes have; undefined where there is none. */
  readonly earlierImage?: string | undefined
  /** Takes the power from a node until it is disposed of; undefined where that can't be done. */
  readonly crashNode?: ((name: string) => Promise<AsyncDisposable>) | undefined
}

export interface Scene {
  readonly number: number
  readonly title: string
  play(stage: Stage): Promise<void>
}

/** The scene's own words for a difference between what was promised and what was seen. */
export class Difference extends Error {
  readonly expected: string
  readonly observed: string
  constructor(expected: string, observed: string) {
    super(`expected: ${expected}; observed: ${observed}`)
    this.expected = expected
    this.observed = observed
  }
}
