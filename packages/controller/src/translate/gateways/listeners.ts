// The listeners of one Gateway or ListenerSet: which are valid, what routes they take, and why not.
import { l7 } from '@wishbone/proto'
import type { Gateway } from '../../kinds/index.ts'
import { no, type Verdict, yes } from '../conditions.ts'
import { createSound } from '../sound.ts'
import type { ClassKind, World } from '../world.ts'
import type { ListenerOwner, ListenerSpec, OwnedListener } from './listener-spec.ts'
import { type ListenerTls, listenerTls } from './listener-tls.ts'
import { conflictOf, messageProtocol, protocolVerdict, type RouteKind, routeKinds } from './protocols.ts'

export interface TranslatedListener extends OwnedListener {
  /** Where it listens, for the l7.Listener. */
  readonly bound: l7.GatewayPort
  readonly protocol: l7.Protocol
  /** Resource name of the l7.Listener, whether or not there is one. */
  readonly name: string
  readonly supportedKinds: readonly RouteKind[]
  readonly accepted: Verdict
  readonly resolvedRefs: Verdict
  readonly conflicted?: Verdict
  /** It can serve: accepted, and with a certificate if it needs one. */
  readonly usable: boolean
  /** Undefined: it has nothing to do with TLS. */
  readonly tls: ListenerTls | undefined
}

/** `others`: listeners that this one must be distinct from; may contain it. */
export function translateListener(
  world: World,
  gateway: Gateway,
  owner: ListenerOwner,
  spec: ListenerSpec,
  { kind, others }: { readonly kind: ClassKind; readonly others: readonly OwnedListener[] },
): TranslatedListener {
  const bound = createSound(l7.GatewayPortSchema, { port: spec.port, hostname: (spec.hostname ?? '').toLowerCase() })
  const prefix = owner.kind === 'ListenerSet' ? 'listenerset' : 'gateway'
  const protocol = protocolVerdict(spec, kind)
  const isKnown = protocol.status === 'True'
  const conflict = isKnown ? conflictOf({ spec, owner }, others, kind) : undefined
  const kinds = isKnown ? routeKinds(spec, kind) : { supported: [], unknown: [], possible: [] }
  const hasTls = isKnown && (spec.protocol === 'HTTPS' || spec.protocol === 'TLS')
  const tls = hasTls ? listenerTls(world, gateway, owner, spec) : undefined
  const accepted = [protocol, conflict, tls?.accepted].find((verdict) => verdict?.status === 'False') ?? protocol
  const possible = kinds.possible.join(', ') || 'none'
  const resolvedRefs = kinds.unknown.length
    ? no('InvalidRouteKinds', `no ${kinds.unknown.join(', ')} can attach here; supported: ${possible}`)
    : (tls?.resolvedRefs ?? yes('ResolvedRefs'))
  return {
    spec,
    owner,
    name: `${prefix}/${owner.metadata.namespace}/${owner.metadata.name}/${spec.name}`,
    bound,
    protocol: messageProtocol(spec),
    supportedKinds: kinds.supported,
    accepted,
    resolvedRefs,
    ...(conflict ? { conflicted: { ...conflict, status: 'True' as const } } : {}),
    usable: accepted.status === 'True' && (!tls?.terminates || tls.certificates.length > 0),
    tls,
  }
}
