// Looks at the wire: every frame that an interface sends or receives (AF_PACKET). Needs CAP_NET_RAW. For tests and demos.

import { bindSocket, interfaceIndex, openSocket, receiveMessage, setOption, type Watch, watchReadable } from './libc.ts'
import { closeFd, withNamespace } from './namespaces.ts'

const AF_PACKET = 17
const SOCK_RAW = 3
const ETH_P_ALL = 3
const framesPerTurn = 256

export interface FrameInfo {
  readonly direction: 'in' | 'out'
  /** The frame was longer than 64 KiB and is cut. */
  readonly truncated: boolean
}

/** Each frame from its Ethernet header on, in memory of its own. */
export type OnFrame = (frame: Buffer, info: FrameInfo) => void

export interface Capture {
  close(): void
}

/** Calls `onFrame` for each frame on the interface until closed. @throws Error if there is no such interface; OsError EPERM */
export function capturePackets(nsFd: number | undefined, interfaceName: string, onFrame: OnFrame): Capture {
  const { fd, index } = withNamespace(nsFd, () => {
    const index = interfaceIndex(interfaceName)
    if (index === 0) throw new Error(`there is no interface "${interfaceName}" in this network namespace`)
    // Protocol 0: nothing is received before the bind names the interface.
    return { fd: openSocket(AF_PACKET, SOCK_RAW, 0), index }
  })
  let watch: Watch | undefined
  try {
    setOption(fd, 1, 8, 4 << 20, 'SO_RCVBUF')
    const address = Buffer.alloc(20)
    address.writeUInt16LE(AF_PACKET, 0)
    address.writeUInt16BE(ETH_P_ALL, 2)
    address.writeInt32LE(index, 4)
    bindSocket(fd, address, `capture on ${interfaceName}`)
    const buffer = Buffer.alloc(65_536)
    const from = Buffer.alloc(20)
    watch = watchReadable(fd, () => {
      for (let i = 0; i < framesPerTurn && watch; i++) {
        const message = receive(fd, buffer, from)
        if (!message) return
        const direction = from[10] === 4 ? 'out' : 'in'
        onFrame(Buffer.from(buffer.subarray(0, message.length)), { direction, truncated: message.truncated })
      }
    })
  } catch (cause) {
    closeFd(fd)
    throw cause
  }
  return {
    close() {
      if (!watch) return
      watch.close()
      watch = undefined
      closeFd(fd)
    },
  }
}

/** A link that goes down or away is reported once (ENETDOWN); a capture that fails otherwise sees nothing more. */
function receive(fd: number, buffer: Buffer, from: Buffer) {
  try {
    return receiveMessage(fd, buffer, from)
  } catch {
    return undefined
  }
}
