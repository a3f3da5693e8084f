// Sockets made inside another network namespace, with the options that transparent proxying needs, for node:net and
// node:dgram to take over by descriptor. Only making the socket needs the visit; everything else follows the socket.
import type net from 'node:net'
import { AF_INET, AF_INET6, decodeAddress, type Endpoint, encodeAddress, ipBytes } from './address.ts'
import { bindSocket, listenSocket, localAddress, openSocket, readOption, selectReusePort, setOption } from './libc.ts'
import { closeFd, withNamespace } from './namespaces.ts'

const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SOL_IP = 0
const SOL_SOCKET = 1
const SOL_TCP = 6
const SOL_IPV6 = 41

/** Keepalive as Istio's ztunnel has it: first probe after 180 s, then every 180 s, nine times. */
const keepAlive = { idleSeconds: 180, intervalSeconds: 180, probes: 9 }

interface CommonOptions {
  /** SO_MARK: which packets the capture rules let through. */
  readonly mark?: number | undefined
}

interface BindOptions extends CommonOptions {
  /** Bind to an address that the namespace does not have yet (IP_FREEBIND), as ::1 while lo is down. */
  readonly freeBind?: boolean | undefined
}

export interface ListenOptions extends BindOptions {
  readonly ip: string
  readonly port: number
  /** Default 1024, capped by net.core.somaxconn of the namespace. */
  readonly backlog?: number | undefined
  readonly reusePort?: boolean | undefined
  /** Accept connections to addresses that are not the namespace's own. */
  readonly transparent?: boolean | undefined
  /** For `::`: false also accepts IPv4 (as ::ffff:a.b.c.d). Default false. */
  readonly ipv6Only?: boolean | undefined
}

export interface UdpOptions extends BindOptions {
  readonly ip: string
  readonly port: number
  readonly reusePort?: boolean | undefined
  /** Bytes that may wait to be read; beyond net.core.rmem_max with CAP_NET_ADMIN only, else as many as are allowed. */
  readonly receiveBuffer?: number | undefined
}

export interface SocketOptions extends CommonOptions {
  /** Local address; with `transparent` also one that is not the namespace's own. */
  readonly bindIp?: string | undefined
  /** With `bindIp`: this local port; otherwise the kernel's choice at connect. */
  readonly bindPort?: number | undefined
  readonly transparent?: boolean | undefined
  /** TCP keepalive 180/180/9; default true. */
  readonly keepAlive?: boolean | undefined
}

function familyOf(ip: string): 4 | 6 {
  return ipBytes(ip).length === 4 ? 4 : 6
}

/** Makes a socket in the namespace and prepares it; a failure closes it. */
function prepare(nsFd: number | undefined, family: 4 | 6, type: number, setup: (fd: number) => void): number {
  const fd = withNamespace(nsFd, () => openSocket(family === 4 ? AF_INET : AF_INET6, type, 0))
  try {
    setup(fd)
    return fd
  } catch (cause) {
    closeFd(fd)
    throw cause
  }
}

function setMark(fd: number, mark: number | undefined): void {
  if (mark !== undefined) setOption(fd, SOL_SOCKET, 36, mark, `SO_MARK ${mark} (needs CAP_NET_ADMIN)`)
}

function setTransparent(fd: number, family: 4 | 6): void {
  if (family === 4) {
    setOption(fd, SOL_IP, 19, 1, 'IP_TRANSPARENT (needs CAP_NET_ADMIN)')
  } else {
    setOption(fd, SOL_IPV6, 75, 1, 'IPV6_TRANSPARENT (needs CAP_NET_ADMIN)')
  }
  setFreeBind(fd, family)
}

function setFreeBind(fd: number, family: 4 | 6): void {
  if (family === 4) setOption(fd, SOL_IP, 15, 1, 'IP_FREEBIND')
  else setOption(fd, SOL_IPV6, 78, 1, 'IPV6_FREEBIND')
}

function setKeepAlive(fd: number): void {
  setOption(fd, SOL_SOCKET, 9, 1, 'SO_KEEPALIVE')
  setOption(fd, SOL_TCP, 4, keepAlive.idleSeconds, 'TCP_KEEPIDLE')
  setOption(fd, SOL_TCP, 5, keepAlive.intervalSeconds, 'TCP_KEEPINTVL')
  setOption(fd, SOL_TCP, 6, keepAlive.probes, 'TCP_KEEPCNT')
}

/**
 * A listening TCP descriptor in the namespace, for `net.Server.listen({ fd })`. What it accepts has keepalive 180/180/9 (ambient wire
 * §1.8), inherited from it: a client that is gone without a word would hold its connection, and the application's, for ever.
 * @throws OsError (EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT where IPv6 is off, …)
 */
export function listenIn(nsFd: number | undefined, options: ListenOptions): number {
  const family = familyOf(options.ip)
  const about = `${options.ip} port ${options.port}`
  return prepare(nsFd, family, SOCK_STREAM, (fd) => {
    setOption(fd, SOL_SOCKET, 2, 1, 'SO_REUSEADDR')
    if (options.reusePort) setOption(fd, SOL_SOCKET, 15, 1, 'SO_REUSEPORT')
    if (family === 6) setOption(fd, SOL_IPV6, 26, options.ipv6Only ? 1 : 0, 'IPV6_V6ONLY')
    if (options.transparent) {
      setTransparent(fd, family)
      if (family === 6 && !options.ipv6Only) setTransparent(fd, 4)
    }
    if (options.freeBind) setFreeBind(fd, family)
    setMark(fd, options.mark)
    setKeepAlive(fd)
    bindSocket(fd, encodeAddress(options.ip, options.port), about)
    listenSocket(fd, options.backlog ?? 1024, about)
  })
}

/** A bound UDP descriptor in the namespace, for `dgram.Socket.bind({ fd })`. @throws OsError */
export function udpIn(nsFd: number | undefined, options: UdpOptions): number {
  const family = familyOf(options.ip)
  return prepare(nsFd, family, SOCK_DGRAM, (fd) => {
    if (options.reusePort) setOption(fd, SOL_SOCKET, 15, 1, 'SO_REUSEPORT')
    if (family === 6) setOption(fd, SOL_IPV6, 26, 1, 'IPV6_V6ONLY')
    if (options.receiveBuffer !== undefined) enlargeReceiveBuffer(fd, options.receiveBuffer)
    if (options.freeBind) setFreeBind(fd, family)
    setMark(fd, options.mark)
    bindSocket(fd, encodeAddress(options.ip, options.port), `UDP ${options.ip} port ${options.port}`)
  })
}

function enlargeReceiveBuffer(fd: number, bytes: number): void {
  try {
    setOption(fd, SOL_SOCKET, 33, bytes, 'SO_RCVBUFFORCE')
  } catch {
    setOption(fd, SOL_SOCKET, 8, bytes, 'SO_RCVBUF')
  }
}

/** An unconnected TCP descriptor in the namespace, for `new net.Socket({ fd })`. @throws OsError */
export function socketIn(nsFd: number | undefined, family: 4 | 6, options: SocketOptions = {}): number {
  return prepare(nsFd, family, SOCK_STREAM, (fd) => {
    setMark(fd, options.mark)
    if (options.keepAlive !== false) setKeepAlive(fd)
    if (options.transparent) setTransparent(fd, family)
    if (options.bindIp !== undefined && options.bindPort !== undefined) {
      setOption(fd, SOL_SOCKET, 2, 1, 'SO_REUSEADDR')
      bindSocket(
        fd,
        encodeAddress(options.bindIp, options.bindPort),
        `source ${options.bindIp} port ${options.bindPort}`,
      )
    } else if (options.bindIp !== undefined) {
      // The port is chosen at connect, when the whole 4-tuple is known: no 28k limit per source address.
      setOption(fd, SOL_IP, 24, 1, 'IP_BIND_ADDRESS_NO_PORT')
      bindSocket(fd, encodeAddress(options.bindIp, 0), `source address ${options.bindIp}`)
    }
  })
}

/**
 * Says which of the sockets that share a port (SO_REUSEPORT, TCP or UDP) gets everything new: they are numbered in the order in
 * which they began, and when one closes the last takes its number. A number that nobody has means any of them, by hash. Half-open
 * connections stay where they began. False where the kernel can't do it: then any of them gets it.
 */
export function steerReusePort(fd: number, index: number): boolean {
  try {
    selectReusePort(fd, index)
    return true
  } catch {
    return false
  }
}

/** The descriptor of a socket of node:net; undefined once it is closed. */
export function socketFd(socket: net.Socket | net.Server): number | undefined {
  const handle = (socket as unknown as { _handle: { fd?: number } | null })._handle
  const fd = handle?.fd
  return fd === undefined || fd < 0 ? undefined : fd
}

const tcpState = Buffer.alloc(1)
const TCP_INFO = 11
/** TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, CLOSING: what a connection comes to once the peer's FIN or reset is there. */
const peerClosedStates: ReadonlySet<number> = new Set([6, 7, 8, 9, 11])

/**
 * Whether the peer has closed its side of a TCP connection or reset it, whatever is still to be read before that: the first
 * field of tcp(7)'s TCP_INFO, as the kernel has it now, without reading. A FIN behind more than the receive buffer takes has not
 * come yet. False for what is no TCP connection, or is closed here.
 */
export function peerHasClosed(socket: net.Socket): boolean {
  const fd = socketFd(socket)
  return fd !== undefined && readOption(fd, SOL_TCP, TCP_INFO, tcpState) && peerClosedStates.has(tcpState[0]!)
}

const destinationV4 = Buffer.alloc(16)
const destinationV6 = Buffer.alloc(28)
const SO_ORIGINAL_DST = 80

/** Where a redirected connection was going (SO_ORIGINAL_DST, IPv4 then IPv6); undefined if the kernel has no record of it. */
export function originalDestination(socket: net.Socket): Endpoint | undefined {
  const fd = socketFd(socket)
  if (fd === undefined) return undefined
  if (readOption(fd, SOL_IP, SO_ORIGINAL_DST, destinationV4)) return decodeAddress(destinationV4)
  if (readOption(fd, SOL_IPV6, SO_ORIGINAL_DST, destinationV6)) return decodeAddress(destinationV6)
  return undefined
}

/** The address that a descriptor is bound to, e.g. to learn the port of `port: 0`. */
export function boundAddress(fd: number): Endpoint | undefined {
  return decodeAddress(localAddress(fd))
}
