// The static and the dynamic table of HPACK (RFC 7541 §2.3, Appendix A).
import { compressionError } from './reader.ts'

/** Name (lower case) and value, both Latin-1. */
export type HeaderField = readonly [name: string, value: string]

/** What an entry costs beyond its bytes (RFC 7541 §4.1). */
export const entryOverhead = 32

const text = `:authority||:method|GET|:method|POST|:path|/|:path|/index.html|:scheme|http|:scheme|https|:status|200
:status|204|:status|206|:status|304|:status|400|:status|404|:status|500|accept-charset||accept-encoding|gzip, deflate
accept-language||accept-ranges||accept||access-control-allow-origin||age||allow||authorization||cache-control|
content-disposition||content-encoding||content-language||content-length||content-location||content-range|
content-type||cookie||date||etag||expect||expires||from||host||if-match||if-modified-since||if-none-match||if-range|
if-unmodified-since||last-modified||link||location||max-forwards||proxy-authenticate||proxy-authorization||range|
referer||refresh||retry-after||server||set-cookie||strict-transport-security||transfer-encoding||user-agent|
vary||via||www-authenticate|`

/** Entries 1 to 61, at index 0 to 60. */
export const staticTable: readonly HeaderField[] = text.split('\n').flatMap((line) => {
  const words = line.split('|')
  const fields: HeaderField[] = []
  for (let i = 0; i + 1 < words.length; i += 2) fields.push([words[i]!, words[i + 1]!])
  return fields
})

/** The dynamic table: newest entry first, bounded by size and not by count. What an entry is its user says. */
export class DynamicTable<Entry> {
  /** Oldest first, from #start on, so that adding is cheap. */
  #entries: Entry[] = []
  #start = 0
  #size = 0
  #maxSize: number
  readonly #sizeOf: (entry: Entry) => number

  constructor(maxSize: number, sizeOf: (entry: Entry) => number) {
    this.#maxSize = maxSize
    this.#sizeOf = sizeOf
  }

  get size(): number {
    return this.#size
  }

  /** The entry of an index, which counts the static table first (RFC 7541 §2.3.3). Throws H2Error when there is none. */
  entry(index: number, fixed: readonly Entry[]): Entry {
    if (index === 0) throw compressionError('an index of 0')
    const entry = index <= fixed.length ? fixed[index - 1] : this.#entries[this.#entries.length + fixed.length - index]
    if (entry === undefined || index - fixed.length > this.#entries.length - this.#start)
      throw compressionError(`an index of ${index}, which no entry has`)
    return entry
  }

  add(entry: Entry): void {
    const cost = this.#sizeOf(entry)
    this.#evict(this.#maxSize - cost)
    // An entry larger than the table empties it; that is no error (RFC 7541 §4.4).
    if (cost > this.#maxSize) return
    this.#entries.push(entry)
    this.#size += cost
  }

  /** A table size update; `limit` is what was allowed. Throws H2Error above it. */
  update(maxSize: number, limit: number): void {
    if (maxSize > limit) throw compressionError(`a table size of ${maxSize} is larger than allowed`)
    this.#maxSize = maxSize
    this.#evict(maxSize)
  }

  #evict(room: number): void {
    while (this.#size > room && this.#start < this.#entries.length)
      this.#size -= this.#sizeOf(this.#entries[this.#start++]!)
    if (this.#start > 64 && this.#start * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#start)
      this.#start = 0
    }
  }
}

export function sizeOf(field: HeaderField): number {
  return field[0].length + field[1].length + entryOverhead
}
