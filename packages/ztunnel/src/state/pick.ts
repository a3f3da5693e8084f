// The two random choices of an outbound decision, handed in so that tests can fix them.
import { type BalancingFacts, pickEndpoint, pickWeighted } from '@wishbone/core/balancing'
import type { Endpoint, Service } from '@wishbone/core/mesh'

export interface Pick {
  endpoint(service: Service, endpoints: readonly Endpoint[], facts: BalancingFacts): Endpoint | undefined
  weighted<T>(items: readonly T[], weightOf: (item: T) => number): T | undefined
}

/** Choices driven by `random`, which answers in [0, 1). */
export function createPick(random: () => number): Pick {
  return {
    endpoint: (service, endpoints, facts) => pickEndpoint(service, endpoints, facts, random),
    weighted: (items, weightOf) => pickWeighted(items, weightOf, random),
  }
}
