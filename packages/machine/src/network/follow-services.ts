// Keeps the nodes' rules for Services current.
import type { Context } from '../controllers/index.ts'
import type { EndpointSlice } from '../types.ts'
import type { NodeNetwork } from './fabric.ts'
import type { AddressPlan } from './plan.ts'
import { serviceRules } from './services.ts'

/** Slices by `namespace/service`, kept as they change. */
export function indexSlices({ mirrors }: Context): (key: string) => readonly EndpointSlice[] {
  const index = new Map<string, Map<string, EndpointSlice>>()
  const put = (now: EndpointSlice | undefined, before: EndpointSlice | undefined): void => {
    const slice = (now ?? before)!
    const service = slice.metadata.labels?.['kubernetes.io/service-name']
    if (!service) return
    const key = `${slice.metadata.namespace}/${service}`
    const slices = index.get(key) ?? new Map<string, EndpointSlice>()
    if (now) slices.set(now.metadata.name, now)
    else slices.delete(slice.metadata.name)
    index.set(key, slices)
  }
  mirrors.endpointSlices.onChange(put)
  for (const slice of mirrors.endpointSlices.all()) put(slice, undefined)
  return (key) => [...(index.get(key)?.values() ?? [])]
}

/** Brings the Service rules of every node up to date, a moment after the last change. */
export function followServices(
  context: Context,
  nodes: ReadonlyMap<string, NodeNetwork>,
  plan: AddressPlan,
  warn: (text: string) => void,
): void {
  const { mirrors } = context
  const slices = indexSlices(context)
  let timer: NodeJS.Timeout | undefined
  const apply = (): void => {
    timer = undefined
    const rules = serviceRules(mirrors.services.all(), slices, plan)
    for (const node of nodes.values()) {
      try {
        node.applyRules(rules)
      } catch (cause) {
        warn(`the Service rules of node${node.index} could not be written: ${(cause as Error).message}`)
      }
    }
  }
  const soon = (): void => {
    if (timer === undefined) timer = setTimeout(apply, 10)
  }
  mirrors.services.onChange(soon)
  mirrors.endpointSlices.onChange(soon)
  apply()
}
