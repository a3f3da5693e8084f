// What one client may see. The client's token decides who it is, never what it claims.
import type { TypeUrl } from '@wishbone/proto'
import type { ClientScope, Resource, ResourceSet, Resources } from '../model/index.ts'

/** The resources of one client; a gateway that no longer exists sees nothing. */
export function view(resources: ResourceSet, client: ClientScope): Resources {
  if (client.kind === 'ztunnel') return resources.ztunnel
  const scope = resources.scopes.get(`${client.namespace}/${client.name}`)
  const seen = new Map<TypeUrl, ReadonlyMap<string, Resource>>()
  for (const [type, all] of resources.gateway) {
    const chosen = new Map<string, Resource>()
    for (const name of scope?.names.get(type) ?? []) {
      const found = all.get(name)
      if (found) chosen.set(name, found)
    }
    seen.set(type, chosen)
  }
  return seen
}
