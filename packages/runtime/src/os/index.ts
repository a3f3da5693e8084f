// What Wishbone needs of Linux beyond Node: network namespaces and sockets within them, nftables and routes over
// netlink, local packet sockets with descriptor passing, packet capture.
export type { Endpoint } from './address.ts'
export { type Capture, capturePackets, type FrameInfo, type OnFrame } from './capture.ts'
export { type ConnectOptions, connectIn } from './connect.ts'
export { OsError } from './errors.ts'
export { legacyChains } from './iptables-legacy.ts'
export {
  addAddress,
  addNeighbour,
  createVeth,
  deleteAddress,
  deleteLink,
  linkIndex,
  setDown,
  setUp,
  type VethOptions,
} from './links.ts'
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
export { addElements, applyRules, deleteElements, deleteTable, hasTable } from './nft/apply.ts'
export { listChains } from './nft/list.ts'
export type * from './nft/ruleset.ts'
export {
  addFwmarkRule,
  addLocalRoute,
  addRoute,
  deleteFwmarkRule,
  deleteLocalRoute,
  deleteRoute,
  type FwmarkRule,
  type LocalRoute,
  type Route,
} from './routes.ts'
export {
  connectSeqpacket,
  listenSeqpacket,
  type Packet,
  type PacketHandlers,
  SeqpacketConnection,
  type SeqpacketListener,
} from './seqpacket.ts'
export { countListeners, hasConnection } from './socket-diag.ts'
export {
  boundAddress,
  type ListenOptions,
  listenIn,
  originalDestination,
  peerHasClosed,
  type SocketOptions,
  socketFd,
  socketIn,
  steerReusePort,
  type UdpOptions,
  udpIn,
} from './sockets.ts'
