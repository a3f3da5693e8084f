// Statuses of Gateways and GatewayClasses. Every condition of ours is always
// there, at the generation that was translated.
import type { Gateway, GatewayClass, ListenerSet } from '../../kinds/index.ts'
import type { ListenerStatus, StatusOf } from '../../model/index.ts'
import { condition, generationOf, no, type Verdict, yes } from '../conditions.ts'
import { classFaults } from '../infra/parameters.ts'
import type { TranslatedRoute } from '../routes/routes.ts'
import type { ClassKind, World } from '../world.ts'
import { gatewayFeatures, meshFeatures } from './features.ts'
import type { TranslatedGateway } from './gateways.ts'
import type { TranslatedListenerSet } from './listener-sets.ts'
import type { TranslatedListener } from './listeners.ts'

export function gatewayStatus(gateway: TranslatedGateway, routes: readonly TranslatedRoute[]): StatusOf {
  const { object, accepted, programmed, resolvedRefs, insecureFrontend } = gateway
  return {
    ...referenceTo(object),
    conditions: [
      condition(object, 'Accepted', accepted),
      condition(object, 'Programmed', programmed),
      ...(resolvedRefs ? [condition(object, 'ResolvedRefs', resolvedRefs)] : []),
      ...(insecureFrontend ? [condition(object, 'InsecureFrontendValidationMode', insecureFrontend)] : []),
    ],
    listeners: gateway.listeners.map((listener) => listenerStatus(gateway, listener, routes)),
    addresses: gateway.addresses,
    attachedListenerSets: gateway.listenerSets.filter((set) => set.accepted.status === 'True').length,
  }
}

export function listenerSetStatus(
  gateway: TranslatedGateway,
  { object, accepted, listeners }: TranslatedListenerSet,
  routes: readonly TranslatedRoute[],
): StatusOf {
  const programmed = (() => {
    if (accepted.status === 'False') return no(accepted.reason, accepted.message)
    if (!listeners.some(({ usable }) => usable))
      return no('ListenersNotValid', 'no listener can serve; see their conditions')
    if (gateway.programmed.status === 'True') return yes('Programmed')
    return no('Pending', `Gateway ${gateway.key} is not programmed: ${gateway.programmed.message}`)
  })()
  return {
    ...referenceTo(object),
    conditions: [condition(object, 'Accepted', accepted), condition(object, 'Programmed', programmed)],
    listeners: listeners.map((listener) => listenerStatus(gateway, listener, routes)),
  }
}

/** Of a Gateway whose translation threw. */
export function brokenGatewayStatus(object: Gateway, message: string): StatusOf {
  const verdict = no('Invalid', `the Gateway can not be translated: ${message}; correct it`)
  const conditions = [condition(object, 'Accepted', verdict), condition(object, 'Programmed', verdict)]
  return { ...referenceTo(object), conditions }
}

function gatewayClassStatus(world: World, object: GatewayClass, kind: ClassKind): StatusOf {
  const faults = classFaults(world, object)
  const accepted = faults.length === 0 ? yes('Accepted') : no('InvalidParameters', faults.join('; '))
  const features = kind === 'gateway' ? gatewayFeatures : meshFeatures
  return {
    ...referenceTo(object),
    conditions: [
      condition(object, 'Accepted', accepted),
      condition(object, 'SupportedVersion', yes('SupportedVersion', 'Gateway API v1.7')),
    ],
    supportedFeatures: features.map((name) => ({ name })),
  }
}

/** Our classes, whether accepted or not. */
export function gatewayClassStatuses(world: World): readonly StatusOf[] {
  return world.snapshot.gatewayClasses.flatMap((object) => {
    const kind = world.classes.get(object.metadata.name)
    return kind ? [gatewayClassStatus(world, object, kind)] : []
  })
}

function listenerStatus(
  gateway: TranslatedGateway,
  listener: TranslatedListener,
  routes: readonly TranslatedRoute[],
): ListenerStatus {
  const object = listener.owner
  const attached = routes.filter(({ parents }) =>
    parents.some(
      ({ target, accepted }) =>
        accepted.status === 'True' && target.kind === 'gateway' && target.listeners.includes(listener.name),
    ),
  )
  return {
    name: listener.spec.name,
    attachedRoutes: attached.length,
    supportedKinds: listener.supportedKinds,
    conditions: [
      condition(object, 'Accepted', listener.accepted),
      condition(object, 'Programmed', listenerProgrammed(gateway, listener)),
      condition(object, 'ResolvedRefs', listener.resolvedRefs),
      condition(object, 'Conflicted', listener.conflicted ?? no('NoConflicts', '')),
    ],
  }
}

/** A listener is programmed with its Gateway, unless it can't serve at all. */
function listenerProgrammed(gateway: TranslatedGateway, listener: TranslatedListener): Verdict {
  if (listener.conflicted) return no(listener.conflicted.reason, listener.accepted.message)
  if (listener.accepted.status === 'False') return no('Invalid', listener.accepted.message)
  if (!listener.usable) return no('Invalid', listener.resolvedRefs.message)
  if (gateway.programmed.status === 'True') return yes('Programmed')
  return no(gateway.programmed.reason === 'Invalid' ? 'Invalid' : 'Pending', gateway.programmed.message)
}

function referenceTo(object: Gateway | GatewayClass | ListenerSet) {
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    namespace: object.metadata.namespace ?? '',
    name: object.metadata.name,
    generation: generationOf(object),
  }
}
