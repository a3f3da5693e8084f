// Follows the TCP connections to one port, as seen on the wire, and judges whether each is TLS from its first byte to its last:
// RFC 8446 §5.1 records, and in the ServerHello (§4.1.3) the version that both ends agreed on. Pure.

/** One TCP segment as captured. */
export interface Segment {
  /** `address:port` of both ends. */
  readonly from: string
  readonly to: string
  readonly toServer: boolean
  readonly syn: boolean
  readonly sequence: number
  readonly payload: Buffer
}

export interface TlsSummary {
  /** Connections seen from their first packet on, whose client has sent something. */
  readonly connections: number
  readonly clientHellos: number
  readonly serverHellos: number
  /** ServerHellos that chose TLS 1.3. */
  readonly tls13: number
  readonly records: number
  /** Connections with a byte that is no TLS record. */
  readonly notTls: number
}

interface Direction {
  readonly toServer: boolean
  /** The sequence number that comes next; undefined: a segment was lost, and nothing more can be said. */
  next: number | undefined
  started: boolean
  /** Bytes left of the record that has begun. */
  left: number
  /** The start of a record header that was cut by the end of a segment. */
  header: Buffer
  broken: boolean
}

const wrap = 2 ** 32

/** Whether 0x0304 is the one version in the supported_versions extension of this ServerHello. */
function choosesTls13(hello: Buffer): boolean {
  // Record header 5, handshake header 4, version 2, random 32, then the session id.
  let at = 43
  if (hello.length < at + 1) return false
  at += 1 + (hello[at] ?? 0)
  // Cipher suite, compression method, length of the extensions.
  const end = Math.min(hello.length, at + 5 + hello.readUInt16BE(at + 3))
  for (at += 5; at + 4 <= end; at += 4 + hello.readUInt16BE(at + 2))
    if (hello.readUInt16BE(at) === 43 && at + 6 <= end) return hello.readUInt16BE(at + 4) === 0x0304
  return false
}

export class TlsFlows {
  readonly #directions = new Map<string, Direction>()
  #connections = 0
  #clientHellos = 0
  #serverHellos = 0
  #tls13 = 0
  #records = 0

  add(segment: Segment): void {
    const key = `${segment.from}>${segment.to}`
    if (segment.syn) {
      this.#directions.set(key, {
        toServer: segment.toServer,
        next: (segment.sequence + 1) % wrap,
        started: false,
        left: 0,
        header: Buffer.alloc(0),
        broken: false,
      })
      return
    }
    const direction = this.#directions.get(key)
    if (!direction || direction.next === undefined || direction.broken || segment.payload.length === 0) return
    const ahead = (segment.sequence - direction.next + wrap) % wrap
    if (ahead !== 0) {
      // Sent again, or a gap.
      if (ahead < wrap / 2) direction.next = undefined
      return
    }
    direction.next = (direction.next + segment.payload.length) % wrap
    if (!direction.started) this.#start(direction, segment.payload)
    this.#read(direction, segment.payload)
  }

  summary(): TlsSummary {
    return {
      connections: this.#connections,
      clientHellos: this.#clientHellos,
      serverHellos: this.#serverHellos,
      tls13: this.#tls13,
      records: this.#records,
      notTls: [...this.#directions.values()].filter(({ broken }) => broken).length,
    }
  }

  #start(direction: Direction, payload: Buffer): void {
    direction.started = true
    const handshake = payload[0] === 22 ? payload[5] : undefined
    if (direction.toServer) {
      this.#connections++
      if (handshake === 1) this.#clientHellos++
    } else if (handshake === 2) {
      this.#serverHellos++
      if (choosesTls13(payload)) this.#tls13++
    }
  }

  #read(direction: Direction, payload: Buffer): void {
    let at = 0
    while (at < payload.length) {
      if (direction.left > 0) {
        const step = Math.min(direction.left, payload.length - at)
        direction.left -= step
        at += step
        continue
      }
      const missing = 5 - direction.header.length
      const header = Buffer.concat([direction.header, payload.subarray(at, at + missing)])
      at += missing
      if (header.length < 5) {
        direction.header = header
        return
      }
      direction.header = Buffer.alloc(0)
      const type = header[0] ?? 0
      const length = header.readUInt16BE(3)
      // change_cipher_spec, alert, handshake, application_data; at most 2^14 + 256 bytes.
      if (type < 20 || type > 23 || header[1] !== 3 || length > 16_640) {
        direction.broken = true
        return
      }
      this.#records++
      direction.left = length
    }
  }
}
