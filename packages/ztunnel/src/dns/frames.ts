// DNS over TCP: messages with a length of two bytes in front (RFC 1035 §4.2.2).

export function frameOf(message: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(message.length + 2)
  frame.writeUInt16BE(message.length, 0)
  message.copy(frame, 2)
  return frame
}

/** Cuts a stream of bytes into messages. */
export class DnsFrames {
  #pending: Buffer = Buffer.alloc(0)

  push(chunk: Buffer): readonly Buffer[] {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    const messages: Buffer[] = []
    while (this.#pending.length >= 2) {
      const length = this.#pending.readUInt16BE(0)
      if (this.#pending.length < 2 + length) break
      messages.push(this.#pending.subarray(2, 2 + length))
      this.#pending = this.#pending.subarray(2 + length)
    }
    return messages
  }
}
