// The one buffer into which plain sockets are read. Large reads are what makes copying fast, and a buffer for each connection is what
// nobody can afford; a read is used up before the next one happens, so that one buffer serves them all.
import { frameHeaderLength } from '@wishbone/core/h2'

/** Measured best: 64 KiB and 1 MiB were both slower. */
export const readSize = 256 << 10

/** Room for one frame header, then what was read. */
export const sharedFrame = Buffer.allocUnsafeSlow(frameHeaderLength + readSize)

/** The part that sockets read into. */
export const sharedRead = sharedFrame.subarray(frameHeaderLength)
