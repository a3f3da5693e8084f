// Puts the rules of a pod in force and takes them away. Every step is idempotent.
import {
  addFwmarkRule,
  addLocalRoute,
  applyRules,
  deleteFwmarkRule,
  deleteLocalRoute,
  deleteTable,
  getSysctl,
  hasTable,
  type NftRuleset,
  setSysctl,
} from '@wishbone/runtime/os'
import { marks, type PodRuleFacts, podRules, routing, tables } from './pod-rules.ts'

const loose = 'net.netfilter.nf_conntrack_tcp_loose'
const liberal = 'net.netfilter.nf_conntrack_tcp_be_liberal'

/** Captures every new connection of the pod; those that are open keep their path. */
export function capture(nsFd: number, facts: PodRuleFacts): void {
  addRouting(nsFd, facts.ipv6)
  // A connection that is older than the rules must not be taken for a new one at its next packet, or it would be
  // redirected half-way: tracking begins only with a SYN. Some kernels have the setting only once tracking is on, so it is
  // made before and after the first tables; those have empty chains, and what they see meanwhile keeps its addresses. The
  // table of translations comes first: a connection that was tracked without it would be translated at its next packet.
  trackFromTheStart(nsFd)
  if (!hasTable(nsFd, 'inet', tables.nat))
    for (const ruleset of translationsFirst(podRules(facts, false))) applyRules(nsFd, ruleset)
  trackFromTheStart(nsFd)
  for (const ruleset of podRules(facts, true)) applyRules(nsFd, ruleset)
  if (!facts.dns) deleteTable(nsFd, 'inet', tables.raw)
  allowMigration(nsFd)
}

function translationsFirst(rulesets: readonly NftRuleset[]): readonly NftRuleset[] {
  const isNat = (ruleset: NftRuleset): boolean => ruleset.table === tables.nat
  return [...rulesets.filter(isNat), ...rulesets.filter((ruleset) => !isNat(ruleset))]
}

function trackFromTheStart(nsFd: number): void {
  const now = getSysctl(nsFd, loose)
  if (now === undefined) return
  if (now !== '0') setSysctl(nsFd, loose, 0)
  // A packet outside the tracked window must still be translated: untranslated, it is answered with a reset.
  if (getSysctl(nsFd, liberal) !== '1') setSysctl(nsFd, liberal, 1)
}

/** Lets new connections pass by; what is open still has its translation, marks and routes. */
export function release(nsFd: number, facts: PodRuleFacts): void {
  for (const ruleset of podRules(facts, false)) applyRules(nsFd, ruleset)
}

/** Takes everything away. Only when no captured connection is left: they would lose their translation. */
export function clear(nsFd: number): void {
  for (const table of [tables.nat, tables.raw, tables.mangle]) deleteTable(nsFd, 'inet', table)
  for (const family of [4, 6] as const) {
    try {
      deleteFwmarkRule(nsFd, fwmark(family))
      deleteLocalRoute(nsFd, { family, table: routing.table })
    } catch (cause) {
      if (family === 4) throw cause
    }
  }
}

/** Whether a pod has rules of ours. */
export function isCaptured(nsFd: number): boolean {
  return hasTable(nsFd, 'inet', tables.mangle)
}

function addRouting(nsFd: number, ipv6: boolean): void {
  for (const family of ipv6 ? ([4, 6] as const) : ([4] as const)) {
    try {
      addFwmarkRule(nsFd, fwmark(family))
      addLocalRoute(nsFd, { family, table: routing.table })
    } catch (cause) {
      // IPv6 may be off in this pod; then it has no IPv6 connections either.
      if (family === 4 || getSysctl(nsFd, 'net.ipv6.conf.all.disable_ipv6') === '0') throw cause
    }
  }
}

/** Connections that wait in the queue of a ztunnel that stops move to the one that has taken over. */
function allowMigration(nsFd: number): void {
  try {
    setSysctl(nsFd, 'net.ipv4.tcp_migrate_req', 1)
  } catch {
    // Kernels before 5.14 have no such setting; then a restart may reset connections that were not accepted yet.
  }
}

function fwmark(family: 4 | 6) {
  return { family, mark: marks.spoofed, mask: marks.mask, ...routing } as const
}
