// What Wishbone needs of Linux beyond Node: network namespaces and sockets within them, nftables and routes over
// netlink, local packet sockets with descriptor passing, packet capture.
export type { Endpoint } from './address.ts'
export { type Capture, capturePackets, type FrameInfo, type OnFrame } from './capture.ts'
export { type ConnectOptions, connectIn } from './connect.ts'
export { OsError } from './errors.ts'
export {
  bindMountNamespace,
  closeFd,
  dupFd,
  getSysctl,
  inodeOf,
  newNamespace,
  openNamespace,
  setSysctl,
  unmountNamespace,
  withNamespace,
} from './namespaces.ts'
export {
  connectSeqpacket,
  listenSeqpacket,
  type Packet,
  type PacketHandlers,
  SeqpacketConnection,
  type SeqpacketListener,
} from './seqpacket.ts'
export {
  boundAddress,
  type ListenOptions,
  listenIn,
  originalDestination,
  type SocketOptions,
  socketFd,
  socketIn,
  tuneSocket,
  type UdpOptions,
  udpIn,
} from './sockets.ts'
