// What one stream may ask for. A proxy's token is all that it takes to have a stream, and whoever may make a Gateway has one.
import type { discovery } from '@wishbone/proto'

/** The mesh has eight types; nobody's client asks for many others. */
const maxTypes = 64
/** Characters of names: no more than a client could name at once when it connects again. */
const maxNamed = 16 << 20

export class Demand {
  readonly #names = new Map<string, Set<string>>()
  #named = 0

  /** Takes a request into account. Returns what is too much about it. */
  excessOf(request: discovery.DeltaDiscoveryRequest): string | undefined {
    let names = this.#names.get(request.typeUrl)
    if (names === undefined) {
      if (this.#names.size >= maxTypes) return `more than ${maxTypes} types of resources`
      names = new Set()
      this.#names.set(request.typeUrl, names)
      this.#named += request.typeUrl.length
    }
    for (const name of request.resourceNamesSubscribe) {
      if (names.has(name)) continue
      names.add(name)
      this.#named += name.length
    }
    for (const name of request.resourceNamesUnsubscribe) if (names.delete(name)) this.#named -= name.length
    return this.#named > maxNamed ? `more than ${maxNamed} bytes of names` : undefined
  }
}
