// The rule that no packet of the cluster leaves the machine, as data.
import type { NftChain, NftMatch, NftRuleset } from '../../packages/runtime/src/os/index.ts'

export const guardTable = 'wishbone-cluster'

/**
 * Drops and counts every packet with a source or a destination in `ranges` that is forwarded, or sent by the host itself,
 * through any interface but the cluster's bridge and loopback. It comes before other tables' filters, whose "accept"
 * cannot undo a drop.
 */
export function guardRules(bridge: string, ranges: readonly string[]): NftRuleset {
  const elsewhere: readonly NftMatch[] = [
    { kind: 'outInterface', value: bridge, negate: true },
    { kind: 'outInterface', value: 'lo', negate: true },
  ]
  const chain = (hook: 'forward' | 'output'): NftChain => ({
    name: hook,
    hook,
    type: 'filter',
    priority: -10,
    rules: (['sourceIp', 'destinationIp'] as const).map((kind) => ({
      match: [...elsewhere, { kind, value: ranges }],
      action: [{ kind: 'counter' }, { kind: 'drop' }],
    })),
  })
  return { family: 'inet', table: guardTable, chains: [chain('forward'), chain('output')] }
}
