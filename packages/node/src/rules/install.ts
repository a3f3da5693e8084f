// Puts the rules of a pod in force and takes them away. Every step is idempotent.
import {
  addFwmarkRule,
  addLocalRoute,
  applyRules,
  deleteFwmarkRule,
  deleteLocalRoute,
  getSysctl,
  hasTable,
  legacyChains,
  listChains,
  setSysctl,
} from '@wishbone/runtime/os'
import { marks, type PodRuleFacts, podRules, routing, tables } from './pod-rules.ts'

const loose = 'net.netfilter.nf_conntrack_tcp_loose'
const liberal = 'net.netfilter.nf_conntrack_tcp_be_liberal'

/** Captures every new connection of the pod; those that are open keep their path. */
export function capture(nsFd: number, facts: PodRuleFacts): void {
  addRouting(nsFd, facts.ipv6)
  // A connection that is older than the rules must not be taken for a new one at its next packet, or it would be
  // redirected half-way: tracking begins only with a SYN. Where tracking was never used before, the setting is there only
  // after the first tables; those have empty chains then, and what they see meanwhile keeps its addresses. The table of
  // translations comes first: a connection that was tracked without it would be translated at its next packet.
  if (!trackFromTheStart(nsFd)) {
    apply(nsFd, facts, false)
    trackFromTheStart(nsFd)
  }
  apply(nsFd, facts, true)
  allowMigration(nsFd)
}

/** All tables in one commit, of which each takes the kernel some 10 ms. */
function apply(nsFd: number, facts: PodRuleFacts, capturing: boolean): void {
  const gone = facts.dns ? [] : [{ family: 'inet', table: tables.raw } as const]
  applyRules(nsFd, podRules(facts, capturing), gone)
}

/** False when this namespace has no such setting (yet). */
function trackFromTheStart(nsFd: number): boolean {
  const now = getSysctl(nsFd, loose)
  if (now === undefined) return false
  if (now !== '0') setSysctl(nsFd, loose, 0)
  // A packet outside the tracked window must still be translated: untranslated, it is answered with a reset.
  if (getSysctl(nsFd, liberal) !== '1') setSysctl(nsFd, liberal, 1)
  return true
}

/** Lets new connections pass by; what is open still has its translation, marks and routes. */
export function release(nsFd: number, facts: PodRuleFacts): void {
  applyRules(nsFd, podRules(facts, false))
}

/** Takes everything away. Only when no captured connection is left: they would lose their translation. */
export function clear(nsFd: number): void {
  applyRules(
    nsFd,
    [],
    Object.values(tables).map((table) => ({ family: 'inet', table })),
  )
  for (const family of [4, 6] as const) {
    try {
      deleteFwmarkRule(nsFd, fwmark(family))
      deleteLocalRoute(nsFd, { family, table: routing.table })
    } catch (cause) {
      if (family === 4) throw cause
    }
  }
}

/** Names of all chains and their tables, whoever has made them. */
export function chainNames(nsFd: number): readonly string[] {
  return [...listChains(nsFd).flatMap(({ table, chain }) => [table, chain]), ...legacyChains(nsFd)]
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
