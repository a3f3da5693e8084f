// All Gateways of our classes: accepted or not, their listeners, and their state in the cluster.
import { ipKey, parseIp } from '@wishbone/core/ip'
import { serviceFqdn } from '@wishbone/core/names'
import type { l7 } from '@wishbone/proto'
import type { Gateway, KubeObject } from '../../kinds/index.ts'
import { no, type Verdict, yes } from '../conditions.ts'
import { gatewayLabel, infraName } from '../infra/names.ts'
import { infrastructureOf } from '../infra/objects.ts'
import { obstaclesOf } from '../infra/obstacles.ts'
import { type Overlay, overlayKeys, parametersOf } from '../infra/parameters.ts'
import { labels } from '../names.ts'
import { hasReadyPod } from '../waypoints/catalog.ts'
import { type ClassKind, guarded, keyOf, olderFirst, type World } from '../world.ts'
import { resolveCertificate } from './certificates.ts'
import { type TranslatedListenerSet, translateListenerSets } from './listener-sets.ts'
import { type TranslatedListener, translateListener } from './listeners.ts'

export interface TranslatedGateway {
  /** `<namespace>/<name>`. */
  readonly key: string
  readonly object: Gateway
  readonly kind: ClassKind
  /** Its own, in the order of its spec. */
  readonly listeners: readonly TranslatedListener[]
  readonly listenerSets: readonly TranslatedListenerSet[]
  readonly accepted: Verdict
  readonly programmed: Verdict
  readonly resolvedRefs?: Verdict
  /** True: some port serves clients without a valid certificate. */
  readonly insecureFrontend?: Verdict
  /** What backends are shown that are spoken to with TLS. */
  readonly backendCertificate?: l7.Certificate
  readonly addresses: readonly GatewayAddress[]
  /** What it needs in the cluster; empty if its parameters can't be used. */
  readonly infrastructure: readonly (KubeObject & Readonly<Record<string, unknown>>)[]
  /** Somebody else has the name that its objects need. */
  readonly conflict?: Verdict
}

/** Whether its proxies get a configuration. One whose parameters have become wrong goes on with what it has. */
export function isServed({ accepted, conflict }: TranslatedGateway): boolean {
  return !conflict && (accepted.status === 'True' || accepted.reason === 'InvalidParameters')
}

export interface GatewayAddress {
  readonly type: string
  readonly value: string
}

/** By `<namespace>/<name>`. */
export function translateGateways(world: World): ReadonlyMap<string, TranslatedGateway> {
  const gateways = new Map<string, TranslatedGateway>()
  const owners = new Map<string, Gateway>()
  for (const object of world.snapshot.gateways.toSorted(olderFirst)) {
    const kind = world.classes.get(object.spec.gatewayClassName)
    const name = kind && `${object.metadata.namespace}/${infraName(object, kind)}`
    if (name && !owners.has(name)) owners.set(name, object)
  }
  for (const object of world.snapshot.gateways) {
    const kind = world.classes.get(object.spec.gatewayClassName)
    const found = kind && guarded(world, object, () => translateGateway(world, object, kind, owners))
    if (found) gateways.set(found.key, found)
  }
  return gateways
}

function translateGateway(
  world: World,
  object: Gateway,
  kind: ClassKind,
  owners: ReadonlyMap<string, Gateway>,
): TranslatedGateway {
  const own = object.spec.listeners.map((spec) => ({ spec, owner: object }))
  const listeners = own.map(({ spec }) => translateListener(world, object, object, spec, { kind, others: own }))
  const listenerSets = translateListenerSets(world, object, kind)
  const every = everyListener({ listeners, listenerSets })
  const conflict = nameConflict(world, object, kind, owners)
  const { overlays, faults } = parametersOf(world, object)
  const made = infrastructureOf(object, kind, every, world.settings, overlays)
  const wrong = [...faults, ...made.faults]
  const accepted =
    wrong.length === 0
      ? acceptedVerdict(object, listeners, overlays)
      : no('InvalidParameters', [...wrong, ...ignoredParameters(overlays)].join('; '))
  const addresses = conflict === undefined ? addressesOf(world, object, kind) : []
  const backendRef = object.spec.tls?.backend?.clientCertificateRef
  const found = backendRef && resolveCertificate(world, object, backendRef)
  const resolvedRefs = (() => {
    if (!found) return undefined
    if (found.kind === 'valid') return yes('ResolvedRefs')
    const reason = found.reason === 'InvalidCertificateRef' ? 'InvalidClientCertificateRef' : found.reason
    return no(reason, found.message)
  })()
  return {
    key: keyOf(object),
    object,
    kind,
    listeners,
    listenerSets,
    accepted,
    programmed: conflict ?? programmedVerdict(world, object, kind, { accepted, listeners: every, addresses, overlays }),
    infrastructure: wrong.length === 0 ? made.objects : [],
    ...(conflict ? { conflict } : {}),
    ...(resolvedRefs ? { resolvedRefs } : {}),
    ...(isInsecure(object) ? { insecureFrontend: yes('ConfigurationChanged', insecureMessage) } : {}),
    ...(found?.kind === 'valid' ? { backendCertificate: found.certificate } : {}),
    addresses,
  }
}

/** Its own and those of its ListenerSets. */
export function everyListener(
  gateway: Pick<TranslatedGateway, 'listeners' | 'listenerSets'>,
): readonly TranslatedListener[] {
  return [...gateway.listeners, ...gateway.listenerSets.flatMap((set) => set.listeners)]
}

const insecureMessage = 'AllowInsecureFallback: clients without a valid certificate are served too'

function isInsecure({ spec }: Gateway): boolean {
  const frontend = spec.tls?.frontend
  return [frontend?.default, ...(frontend?.perPort ?? []).map(({ tls }) => tls)].some(
    (config) => config?.validation?.mode === 'AllowInsecureFallback',
  )
}

/** Its Service's name must be free: taking over somebody's Service would send their traffic to a proxy. */
function nameConflict(
  world: World,
  object: Gateway,
  kind: ClassKind,
  owners: ReadonlyMap<string, Gateway>,
): Verdict | undefined {
  const name = `${object.metadata.namespace}/${infraName(object, kind)}`
  const owner = owners.get(name)
  if (owner && owner !== object) {
    return no('Invalid', `Gateway ${keyOf(owner)} already has the Service ${name}; rename one of the Gateways`)
  }
  const service = world.services.get(name)
  if (!service || service.metadata.labels?.[labels.gatewayName] === gatewayLabel(object)) return undefined
  // One that lost the label is given it back. Taken for somebody's, it would be deleted with all that was made beside it.
  const { uid } = object.metadata
  if (uid !== undefined && service.metadata.ownerReferences?.some((owner) => owner.uid === uid)) return undefined
  return no(
    'Invalid',
    `a Service ${name} exists that is not this Gateway's and is left alone; rename the Gateway or the Service`,
  )
}

function acceptedVerdict(
  { spec }: Gateway,
  listeners: readonly TranslatedListener[],
  overlays: readonly Overlay[],
): Verdict {
  const strange = (spec.addresses ?? []).find(({ type }) => type !== undefined && type !== 'IPAddress')
  if (strange) return no('UnsupportedAddress', `addresses of type ${strange.type} are not supported; use IPAddress`)
  const bad = listeners.filter(({ accepted }) => accepted.status === 'False')
  if (bad.length === 0) return yes('Accepted', ignoredParameters(overlays).join('; '))
  const message = bad.map((listener) => `listener ${listener.spec.name}: ${listener.accepted.message}`).join('; ')
  return bad.length === listeners.length ? no('ListenersNotValid', message) : yes('ListenersNotValid', message)
}

/** Said, but no reason to refuse: Istio ignores such keys too. */
function ignoredParameters(overlays: readonly Overlay[]): readonly string[] {
  return overlays
    .filter(({ unknown }) => unknown.length > 0)
    .map(({ source, unknown }) => `${source}: ${unknown.join(', ')} ignored; known keys are ${overlayKeys.join(', ')}`)
}

function addressesOf(world: World, gateway: Gateway, kind: ClassKind): readonly GatewayAddress[] {
  const namespace = gateway.metadata.namespace ?? ''
  const name = infraName(gateway, kind)
  const service = world.services.get(`${namespace}/${name}`)
  if (!service) return []
  if (kind === 'gateway') {
    return (service.status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => {
      if (ip) return [{ type: 'IPAddress', value: ip }]
      return hostname ? [{ type: 'Hostname', value: hostname }] : []
    })
  }
  const ips = (service.spec.clusterIPs ?? [service.spec.clusterIP ?? '']).filter((ip) => parseIp(ip) !== undefined)
  return [
    ...ips.map((value) => ({ type: 'IPAddress', value })),
    { type: 'Hostname', value: serviceFqdn(namespace, name, world.settings.clusterDomain) },
  ]
}

interface ProgrammedFacts {
  readonly accepted: Verdict
  readonly listeners: readonly TranslatedListener[]
  readonly addresses: readonly GatewayAddress[]
  readonly overlays: readonly Overlay[]
}

function programmedVerdict(
  world: World,
  gateway: Gateway,
  kind: ClassKind,
  { accepted, listeners, addresses, overlays }: ProgrammedFacts,
): Verdict {
  if (accepted.status === 'False') return no('Invalid', `the Gateway is not accepted: ${accepted.message}`)
  if (!listeners.some(({ usable }) => usable)) return no('Invalid', 'no listener can serve; see their conditions')
  const name = `${gateway.metadata.namespace}/${infraName(gateway, kind)}`
  const obstacles = obstaclesOf(world, name, overlays)
  if (obstacles.length > 0) return no('Invalid', obstacles.join('; '))
  const asked = (gateway.spec.addresses ?? []).flatMap(({ value }) => (value ? [value] : []))
  const given = new Set(addresses.map(({ value }) => addressKey(value)))
  const missing = asked.filter((value) => !given.has(addressKey(value)))
  if (missing.length > 0) {
    return no('AddressNotUsable', `Service ${name} did not get ${missing.join(', ')}; ask for another address`)
  }
  if (addresses.length === 0) {
    const hint = kind === 'gateway' ? 'does the cluster have a load balancer implementation?' : 'it is being created'
    return no('AddressNotAssigned', `Service ${name} has no address yet; ${hint}`)
  }
  if (!hasReadyPod(world, gateway)) return no('Pending', `no pod of Deployment ${name} is ready yet`)
  return yes('Programmed')
}

/** An IPv6 address can be written in several ways. */
function addressKey(text: string): string {
  const bytes = parseIp(text)
  return bytes ? ipKey(bytes) : text
}
