// Interfaces of network namespaces over rtnetlink: veth pairs, state, addresses, permanent neighbours. No `ip` program.
import { parseCidr } from '@wishbone/core/ip'
import { AF_INET, AF_INET6, ipBytes } from './address.ts'
import { interfaceIndex } from './libc.ts'
import { ownNamespace, withNamespace } from './namespaces.ts'
import { attribute, flags, nested, text, u32 } from './netlink.ts'
import { requestRoute } from './route-netlink.ts'

const RTM = { newLink: 16, delLink: 17, newAddress: 20, delAddress: 21, newNeighbour: 28 } as const
const IFLA = { address: 1, name: 3, mtu: 4, linkInfo: 18, namespaceFd: 28 } as const

type Namespace = number | undefined

export interface VethOptions {
  readonly nameA: string
  readonly nsA: Namespace
  readonly nameB: string
  readonly nsB: Namespace
  /** "02:00:00:00:00:01"; the kernel chooses if absent. */
  readonly macA?: string
  readonly macB?: string
  readonly mtu?: number
}

/** struct ifinfomsg */
function linkHeader(index = 0, state = 0, change = 0): Buffer {
  const header = Buffer.alloc(16)
  header.writeInt32LE(index, 4)
  header.writeUInt32LE(state, 8)
  header.writeUInt32LE(change, 12)
  return header
}

function macBytes(mac: string): Buffer {
  const bytes = Buffer.from(mac.split(':').map((part) => Number.parseInt(part, 16)))
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac)) throw new Error(`"${mac}" is not a MAC address`)
  return bytes
}

function endAttributes(name: string, mac: string | undefined, mtu: number | undefined): Buffer[] {
  const attributes = [text(IFLA.name, name)]
  if (mac !== undefined) attributes.push(attribute(IFLA.address, macBytes(mac)))
  if (mtu !== undefined) attributes.push(attribute(IFLA.mtu, u32(mtu)))
  return attributes
}

/** Creates two interfaces that are the ends of one cable, each in its namespace. Both are down. @throws OsError EEXIST, … */
export function createVeth(options: VethOptions): void {
  const peer = [linkHeader(), ...endAttributes(options.nameB, options.macB, options.mtu)]
  // The kernel puts an end without a namespace where A is; "the caller's" must be said if A is elsewhere.
  const nsB = options.nsB ?? (options.nsA === undefined ? undefined : ownNamespace())
  if (nsB !== undefined) peer.push(attribute(IFLA.namespaceFd, u32(nsB)))
  requestRoute(options.nsA, {
    type: RTM.newLink,
    flags: flags.create | flags.excl,
    body: [
      linkHeader(),
      ...endAttributes(options.nameA, options.macA, options.mtu),
      nested(IFLA.linkInfo, [text(1, 'veth'), nested(2, [nested(1, peer)])]),
    ],
    about: `creating the veth pair ${options.nameA} - ${options.nameB}`,
  })
}

/** Deletes a link, and with one end of a veth pair the other; an absent one is no error. */
export function deleteLink(nsFd: Namespace, name: string): void {
  const body = [linkHeader(), text(IFLA.name, name)]
  requestRoute(nsFd, { type: RTM.delLink, body, about: `deleting the link ${name}`, ignore: ['ENODEV'] })
}

/** Index of the link in its namespace; undefined if there is none of that name. */
export function linkIndex(nsFd: Namespace, name: string): number | undefined {
  return withNamespace(nsFd, () => interfaceIndex(name)) || undefined
}

/** @throws Error if there is no such link */
export function requireLink(nsFd: Namespace, name: string): number {
  const index = linkIndex(nsFd, name)
  if (index === undefined) throw new Error(`there is no interface "${name}" in the network namespace`)
  return index
}

function setState(nsFd: Namespace, name: string, up: boolean): void {
  const body = [linkHeader(requireLink(nsFd, name), up ? 1 : 0, 1)]
  requestRoute(nsFd, { type: RTM.newLink, body, about: `setting ${name} ${up ? 'up' : 'down'}` })
}

export function setUp(nsFd: Namespace, name: string): void {
  setState(nsFd, name, true)
}

export function setDown(nsFd: Namespace, name: string): void {
  setState(nsFd, name, false)
}

/** struct ifaddrmsg and the address, which is both local and, without a peer, the address of the link. */
function addressBody(nsFd: Namespace, name: string, cidr: string): Buffer[] {
  const parsed = parseCidr(cidr)
  const ip = parsed && ipBytes(cidr.slice(0, cidr.indexOf('/')))
  if (!parsed || !ip) throw new Error(`"${cidr}" is not an address with a prefix length`)
  const header = Buffer.alloc(8)
  header[0] = ip.length === 4 ? AF_INET : AF_INET6
  header[1] = parsed.length
  header.writeUInt32LE(requireLink(nsFd, name), 4)
  // IFA_F_NODAD: an IPv6 address must be usable at once, not after a second of asking whether it is taken.
  return [header, attribute(2, ip), attribute(1, ip), attribute(8, u32(0x02))]
}

/** Adds "10.0.0.1/24" or "fd00::1/64" to the link; one that is there already is no error. */
export function addAddress(nsFd: Namespace, name: string, cidr: string): void {
  const body = addressBody(nsFd, name, cidr)
  requestRoute(nsFd, {
    type: RTM.newAddress,
    flags: flags.create | flags.replace,
    body,
    about: `adding ${cidr} to ${name}`,
    ignore: ['EEXIST'],
  })
}

/** Removes an address; an absent one is no error. */
export function deleteAddress(nsFd: Namespace, name: string, cidr: string): void {
  const body = addressBody(nsFd, name, cidr)
  requestRoute(nsFd, { type: RTM.delAddress, body, about: `removing ${cidr} from ${name}`, ignore: ['EADDRNOTAVAIL'] })
}

/** Fixes the MAC address of a neighbour, so that nobody asks for it. */
export function addNeighbour(
  nsFd: Namespace,
  neighbour: { readonly ip: string; readonly mac: string; readonly dev: string },
): void {
  const ip = ipBytes(neighbour.ip)
  const header = Buffer.alloc(12)
  header[0] = ip.length === 4 ? AF_INET : AF_INET6
  header.writeInt32LE(requireLink(nsFd, neighbour.dev), 4)
  header.writeUInt16LE(0x80 /* NUD_PERMANENT */, 8)
  requestRoute(nsFd, {
    type: RTM.newNeighbour,
    flags: flags.create | flags.replace,
    body: [header, attribute(1, ip), attribute(2, macBytes(neighbour.mac))],
    about: `adding the neighbour ${neighbour.ip} on ${neighbour.dev}`,
  })
}
