// A ruleset as the messages of one nf_tables batch; each message carries what it is about, for error reports.
import { attribute, flags, nested, text, u32be } from '../netlink.ts'
import { encodeAction } from './actions.ts'
import { encodeKey, type Interval, intervalElements, keyTypes } from './keys.ts'
import { encodeMatch, type RuleState } from './matches.ts'
import type { NftChain, NftElement, NftFamily, NftKeyKind, NftRule, NftRuleset, NftSet } from './ruleset.ts'

/** One message before it has a sequence number. */
export interface NftMessage {
  /** NFT_MSG_… */
  readonly type: number
  readonly flags: number
  readonly family: NftFamily
  readonly attributes: readonly Buffer[]
  /** E.g. `rule 3 ("probes") of chain nat_pre in table inet mesh`. */
  readonly about: string
}

export const nftMessage = {
  newTable: 0,
  getTable: 1,
  delTable: 2,
  newChain: 3,
  newRule: 6,
  newSet: 9,
  newElement: 12,
  delElement: 14,
}

const hooks = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const

const tableName = (family: NftFamily, table: string) => `table ${family} ${table}`

export function tableMessage(type: number, flag: number, family: NftFamily, table: string): NftMessage {
  return { type, flags: flag, family, attributes: [text(1, table)], about: tableName(family, table) }
}

function chainMessage(ruleset: NftRuleset, chain: NftChain): NftMessage {
  const attributes = [text(1, ruleset.table), text(3, chain.name)]
  if (chain.hook) {
    const priority = Buffer.alloc(4)
    priority.writeInt32BE(chain.priority ?? 0)
    attributes.push(nested(4, [attribute(1, u32be(hooks[chain.hook])), attribute(2, priority)]))
    attributes.push(attribute(5, u32be(chain.policy === 'drop' ? 0 : 1)))
    attributes.push(text(7, chain.type ?? 'filter'))
  }
  const about = `chain ${chain.name} in ${tableName(ruleset.family, ruleset.table)}`
  return { type: nftMessage.newChain, flags: flags.create, family: ruleset.family, attributes, about }
}

/** User data is type, length, value; type 0 is the comment that `nft list` shows. */
function commentData(comment: string): Buffer {
  const bytes = Buffer.from(`${Buffer.from(comment).subarray(0, 120).toString()}\0`)
  return Buffer.concat([Buffer.from([0, bytes.length]), bytes])
}

const setFlag = { anonymous: 1, constant: 2, interval: 4 }

function setMessage(
  family: NftFamily,
  table: string,
  set: { readonly name: string; readonly key: readonly NftKeyKind[]; readonly id: number; readonly flags: number },
  about: string,
): NftMessage {
  const single = set.key.length === 1
  const types = set.key.map((kind) => keyTypes[kind])
  const length = types.reduce((sum, type) => sum + (single ? type.length : (type.length + 3) & ~3), 0)
  const attributes = [
    text(1, table),
    text(2, set.name),
    attribute(3, u32be(set.flags)),
    attribute(4, u32be(types.reduce((all, type) => (all << 6) | type.number, 0))),
    attribute(5, u32be(length)),
    attribute(10, u32be(set.id)),
  ]
  return { type: nftMessage.newSet, flags: flags.create, family, attributes, about }
}

/** Elements of one message; a nested attribute's length is 16 bits wide, so many elements take several messages. */
const elementsPerMessage = 500

function* elementMessages(
  type: number,
  family: NftFamily,
  set: { readonly table: string; readonly name: string; readonly id?: number },
  elements: readonly Buffer[],
  about: string,
): Generator<NftMessage> {
  for (let i = 0; i < elements.length; i += elementsPerMessage) {
    const attributes = [text(1, set.table), text(2, set.name)]
    if (set.id !== undefined) attributes.push(attribute(4, u32be(set.id)))
    attributes.push(nested(3, elements.slice(i, i + elementsPerMessage)))
    yield { type, flags: type === nftMessage.newElement ? flags.create : 0, family, attributes, about }
  }
}

function elementAttribute(kinds: readonly NftKeyKind[], element: NftElement): Buffer {
  const parts = [nested(1, [attribute(1, encodeKey(kinds, element.key))])]
  if (element.comment !== undefined) parts.push(attribute(6, commentData(element.comment)))
  return nested(1, parts)
}

/** The messages that add or delete elements of a named set. @throws Error naming the set and what is wrong with an element */
export function encodeElements(
  type: 'add' | 'delete',
  where: { readonly family: NftFamily; readonly table: string },
  set: Pick<NftSet, 'name' | 'key'>,
  elements: readonly NftElement[],
): readonly NftMessage[] {
  const about = `elements of set ${set.name} in ${tableName(where.family, where.table)}`
  try {
    const encoded = elements.map((element) => elementAttribute(set.key, element))
    const message = type === 'add' ? nftMessage.newElement : nftMessage.delElement
    return [...elementMessages(message, where.family, { table: where.table, name: set.name }, encoded, about)]
  } catch (cause) {
    throw new Error(`${about}: ${(cause as Error).message}`, { cause })
  }
}

function ruleMessages(ruleset: NftRuleset, chain: NftChain, rule: NftRule, index: number, nextId: () => number) {
  const comment = rule.comment === undefined ? '' : ` ("${rule.comment}")`
  const table = tableName(ruleset.family, ruleset.table)
  const about = `rule ${index + 1}${comment} of chain ${chain.name} in ${table}`
  const sets: NftMessage[] = []
  const newSet = (kind: NftKeyKind, intervals: readonly Interval[]) => {
    const id = nextId()
    const name = '__set%d'
    const flag = setFlag.anonymous | setFlag.constant | setFlag.interval
    sets.push(setMessage(ruleset.family, ruleset.table, { name, key: [kind], id, flags: flag }, about))
    const elements = intervalElements(intervals).map(({ key, end }) =>
      nested(1, [nested(1, [attribute(1, key)]), ...(end ? [attribute(3, u32be(1))] : [])]),
    )
    const set = { table: ruleset.table, name, id }
    sets.push(...elementMessages(nftMessage.newElement, ruleset.family, set, elements, about))
    return { name, id }
  }
  const family = ruleset.family === 'ip' ? 4 : ruleset.family === 'ip6' ? 6 : undefined
  const state: RuleState = { family: ruleset.family, newSet, ip: family, protocol: undefined }
  try {
    const actions = Array.isArray(rule.action) ? rule.action : [rule.action]
    const expressions = [
      ...rule.match.flatMap((match) => encodeMatch(match, state)),
      ...actions.flatMap((action) => encodeAction(action, state)),
    ]
    const attributes = [text(1, ruleset.table), text(2, chain.name), nested(4, expressions)]
    if (rule.comment !== undefined) attributes.push(attribute(7, commentData(rule.comment)))
    const flag = flags.create | flags.append
    return [...sets, { type: nftMessage.newRule, flags: flag, family: ruleset.family, attributes, about }]
  } catch (cause) {
    throw new Error(`${about}: ${(cause as Error).message}`, { cause })
  }
}

/** The messages that delete a table. Adding first makes that possible whether or not the table was there. */
export function encodeDeletion(family: NftFamily, table: string): readonly NftMessage[] {
  return [
    tableMessage(nftMessage.newTable, flags.create, family, table),
    tableMessage(nftMessage.delTable, 0, family, table),
  ]
}

/** All messages that replace the tables. @throws Error naming table, chain and rule of what cannot be encoded */
export function encodeRulesets(rulesets: readonly NftRuleset[]): readonly NftMessage[] {
  // Sets are told apart by number within a whole batch, not within a table.
  let id = 0
  const nextId = () => ++id
  return rulesets.flatMap((ruleset) => encodeRuleset(ruleset, nextId))
}

function encodeRuleset(ruleset: NftRuleset, nextId: () => number): readonly NftMessage[] {
  const { family, table } = ruleset
  const messages: NftMessage[] = [
    ...encodeDeletion(family, table),
    tableMessage(nftMessage.newTable, flags.create, family, table),
  ]
  for (const set of ruleset.sets ?? []) {
    const about = `set ${set.name} in ${tableName(family, table)}`
    messages.push(setMessage(family, table, { ...set, id: nextId(), flags: 0 }, about))
    messages.push(...encodeElements('add', ruleset, set, set.elements ?? []))
  }
  for (const chain of ruleset.chains) messages.push(chainMessage(ruleset, chain))
  for (const chain of ruleset.chains) {
    chain.rules.forEach((rule, index) => {
      messages.push(...ruleMessages(ruleset, chain, rule, index, nextId))
    })
  }
  return messages
}
