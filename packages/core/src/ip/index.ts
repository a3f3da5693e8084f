// IP addresses, networks and socket addresses as plain data: bytes and text. No name resolution.
export { canonicalIp, formatIp, type IpBytes, ipKey, isLoopback, parseIp } from './address.ts'
export { type Cidr, formatCidr, inCidr, maskIp, parseCidr } from './cidr.ts'
export { formatSocketAddress, parsePort, parseSocketAddress, type SocketAddress } from './socket.ts'
