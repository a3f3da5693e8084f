// Byte copy between TCP sockets, with half-close and back-pressure both ways.
export { type AdoptedSocket, adoptSocket } from './adopt.ts'
export { copySockets } from './sockets.ts'
export type { Copy, CopyResult } from './types.ts'
