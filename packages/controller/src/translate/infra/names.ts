// Names of what we make for a Gateway (ambient wire §5.2).
import { hashName } from '@wishbone/core/names'
import type { Gateway } from '../../kinds/index.ts'
import type { ClassKind } from '../world.ts'

/** Of its Deployment, Service and ServiceAccount: the Gateway's for waypoints, `<name>-<class>` otherwise. */
export function infraName(gateway: Gateway, kind: ClassKind): string {
  const { name } = gateway.metadata
  return hashName(kind === 'waypoint' ? [name] : [name, gateway.spec.gatewayClassName])
}

/** A label's value has at most 63 characters, a Gateway's name up to 253. */
export function gatewayLabel(gateway: Gateway): string {
  const { name } = gateway.metadata
  return name.length <= 63 ? name : hashName(name)
}
