// The last words of the mesh about what users wrote: Gateways and GatewayClasses that say they are served would lie for good
// when nobody is left to say otherwise. Written after the controller has gone, before what it made goes.
import { type KubeClient, type KubeObject, messageOf, type ResourceKind, resourcePath } from '@wishbone/runtime/kube'
import { inParallel } from '@wishbone/runtime/lifecycle'
import type { Condition } from './kinds/index.ts'
import type { Log } from './log.ts'
import { fieldManager, mergeStatus } from './status/index.ts'
import { condition, generationOf } from './translate/conditions.ts'
import { parentControllers } from './translate/names.ts'

interface Spec {
  readonly controllerName?: string
  readonly gatewayClassName?: string
}

const message =
  'Wishbone was uninstalled, and what served this was deleted; install it again, change the class, or delete this object'

/**
 * What our classes and their Gateways say from now on: nobody has looked at them, and nothing serves them. Reasons as the
 * Gateway API has them for what waits for a controller. Pure.
 */
export function lastConditions(object: KubeObject): readonly Condition[] {
  const of = (type: string, status: 'False' | 'Unknown'): Condition =>
    condition(object, type, { status, reason: 'Pending', message })
  const accepted = of('Accepted', 'Unknown')
  return object.kind === 'Gateway' ? [accepted, of('Programmed', 'False')] : [accepted]
}

export function ourClasses(classes: readonly KubeObject[]): readonly KubeObject[] {
  const controllers: readonly string[] = parentControllers
  return classes.filter(({ spec }) => controllers.includes((spec as Spec | undefined)?.controllerName ?? ''))
}

export function ofOurClasses(gateways: readonly KubeObject[], classes: readonly KubeObject[]): readonly KubeObject[] {
  const names = new Set(ourClasses(classes).map(({ metadata }) => metadata.name))
  return gateways.filter(({ spec }) => names.has((spec as Spec | undefined)?.gatewayClassName ?? ''))
}

/** One that can't be written is told in the log: it must not keep the rest of the mesh. */
export async function writeLastStatuses(
  client: KubeClient,
  kind: ResourceKind,
  objects: readonly KubeObject[],
  log: Log,
): Promise<void> {
  const now = `${new Date().toISOString().slice(0, 19)}Z`
  const { apiVersion, kind: name } = kind
  await inParallel(objects, 8, async (listed) => {
    const object = { ...listed, apiVersion, kind: name }
    const { metadata } = object
    const what = `${name}/${metadata.namespace ?? ''}/${metadata.name}`
    const reference = { apiVersion, kind: name, namespace: metadata.namespace ?? '', name: metadata.name }
    const wanted = { ...reference, generation: generationOf(object), conditions: lastConditions(object) }
    // Applied as the controller applied: listeners and addresses, which are not named here, go.
    const body = {
      apiVersion,
      kind: name,
      metadata: { name: metadata.name, ...(metadata.namespace ? { namespace: metadata.namespace } : {}) },
      status: mergeStatus(object, wanted, now).status,
    }
    try {
      await client.apply(resourcePath(kind, metadata.namespace, metadata.name, 'status'), body, fieldManager)
      log.info('said that it is served no more', { object: what })
    } catch (cause) {
      log.warn('cannot write a status: the object goes on saying that it is served', {
        object: what,
        reason: messageOf(cause),
      })
    }
  })
}
