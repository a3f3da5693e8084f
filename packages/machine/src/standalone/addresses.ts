// Addresses of LoadBalancer Services: here each of them is this machine, or the address that the Service asks for.

import { networkInterfaces } from 'node:os'
import { keyOf, splitKey } from '../api/objects/object.ts'
import { resources } from '../client/api.ts'
import { type Context, createQueue } from '../controllers/context.ts'

/** The address that others can ask for when programs listen on `listen`; of a wildcard, the machine's first one. */
export function publicAddress(listen: string, interfaces = networkInterfaces()): string {
  if (listen !== '0.0.0.0' && listen !== '::') return listen
  const all = Object.values(interfaces).flatMap((addresses) => addresses ?? [])
  return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1'
}

export function giveAddresses(context: Context, listen: string): void {
  const { client, mirrors } = context
  const own = publicAddress(listen)
  const enqueue = createQueue(context, 'Service', async (key) => {
    const [namespace, name] = splitKey(key)
    const service = mirrors.services.get(namespace, name)
    if (service?.spec.type !== 'LoadBalancer') return
    const ip = service.spec.loadBalancerIP ?? own
    const given = service.status?.loadBalancer?.ingress ?? []
    if (given.length === 1 && given[0]?.ip === ip) return
    await client.patch(
      resources.services,
      namespace,
      name,
      { status: { loadBalancer: { ingress: [{ ip }] } } },
      'status',
    )
  })
  mirrors.services.onChange((now) => now && enqueue(keyOf(now)))
  for (const service of mirrors.services.all()) enqueue(keyOf(service))
}
