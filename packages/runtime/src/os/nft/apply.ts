// Puts rulesets into the kernel over netlink (NFNL_SUBSYS_NFTABLES): no `nft` program is needed. One batch is one
// transaction: either all of it is in force afterwards or nothing has changed.
import { OsError } from '../errors.ts'
import { exchange, flags, message, NETLINK_NETFILTER } from '../netlink.ts'
import { encodeDeletion, encodeElements, encodeRulesets, type NftMessage, nftMessage, tableMessage } from './encode.ts'
import type { NftElement, NftFamily, NftRuleset, NftSet } from './ruleset.ts'

const SUBSYSTEM = 10
const BATCH_BEGIN = 0x10
const BATCH_END = 0x11
const families: Record<NftFamily, number> = { inet: 1, ip: 2, ip6: 10 }
const ENOENT = 2

/** struct nfgenmsg: family, version 0, resource id (big-endian). */
function body(family: number, resource: number, attributes: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([family, 0, resource >> 8, resource & 255]), ...attributes])
}

function single(item: NftMessage, sequence: number, extraFlags: number): Buffer {
  const type = (SUBSYSTEM << 8) | item.type
  return message(
    type,
    flags.request | item.flags | extraFlags,
    sequence,
    body(families[item.family], 0, item.attributes),
  )
}

/** Sends all messages as one transaction. @throws OsError that names the first thing the kernel refused */
function transact(nsFd: number | undefined, messages: readonly NftMessage[]): void {
  const last = messages.length
  if (last === 0) return
  const batch = Buffer.concat([
    message(BATCH_BEGIN, flags.request, 0, body(0, SUBSYSTEM, [])),
    // Errors are always reported; the acknowledgement of the last one proves that the whole was processed.
    ...messages.map((item, i) => single(item, i + 1, i + 1 === last ? flags.ack : 0)),
    message(BATCH_END, flags.request, last + 1, body(0, SUBSYSTEM, [])),
  ])
  let acknowledged = false
  for (const { sequence, error } of exchange(nsFd, NETLINK_NETFILTER, batch)) {
    if (!error) continue
    if (error.errno !== 0) {
      const about = messages[sequence - 1]?.about ?? `the batch of ${messages[0]?.about}`
      throw new OsError(error.errno, 'nftables', about, error.detail)
    }
    if (sequence === last) acknowledged = true
  }
  if (!acknowledged) throw new Error(`nftables ${messages[0]?.about}: the kernel did not acknowledge the batch`)
}

export interface TableName {
  readonly family: NftFamily
  readonly table: string
}

/**
 * Replaces the tables as a whole and deletes those of `gone` (that may not be there), all in one step: packets see all of the
 * old rules or all of the new ones. One commit takes milliseconds however much is in it, so tables go together.
 * @throws OsError, Error naming the rule
 */
export function applyRules(
  nsFd: number | undefined,
  rulesets: NftRuleset | readonly NftRuleset[],
  gone: readonly TableName[] = [],
): void {
  const all = [rulesets].flat() as readonly NftRuleset[]
  transact(nsFd, [...encodeRulesets(all), ...gone.flatMap(({ family, table }) => encodeDeletion(family, table))])
}

/** Deletes the table; that there is none is no error. */
export function deleteTable(nsFd: number | undefined, family: NftFamily, table: string): void {
  applyRules(nsFd, [], [{ family, table }])
}

/** True if the namespace has a table of that family and name. */
export function hasTable(nsFd: number | undefined, family: NftFamily, table: string): boolean {
  const request = single(tableMessage(nftMessage.getTable, 0, family, table), 1, flags.ack)
  for (const { error } of exchange(nsFd, NETLINK_NETFILTER, request)) {
    if (error?.errno === ENOENT) return false
    if (error && error.errno !== 0) throw new OsError(error.errno, 'nftables', `table ${family} ${table}`, error.detail)
  }
  return true
}

interface SetReference {
  readonly family: NftFamily
  readonly table: string
  readonly set: Pick<NftSet, 'name' | 'key'>
}

/** Adds elements to a named set; those that are there already are no error. */
export function addElements(nsFd: number | undefined, where: SetReference, elements: readonly NftElement[]): void {
  transact(nsFd, encodeElements('add', where, where.set, elements))
}

/** Deletes elements from a named set in one step; adding them first makes an absent one no error. */
export function deleteElements(nsFd: number | undefined, where: SetReference, elements: readonly NftElement[]): void {
  transact(nsFd, [
    ...encodeElements('add', where, where.set, elements),
    ...encodeElements('delete', where, where.set, elements),
  ])
}
