// Addresses for Services, default service accounts for namespaces.
import { keyOf, splitKey } from '../api/objects/object.ts'
import { resources } from '../client/api.ts'
import type { AddressPlan } from '../network/plan.ts'
import type { Service } from '../types.ts'
import { type Context, createQueue } from './context.ts'

/** Which families a Service has: its own wish where the cluster has them, else the cluster's first. */
export function familiesOf(service: Service, cluster: readonly ('IPv4' | 'IPv6')[]): readonly ('IPv4' | 'IPv6')[] {
  const asked = (service.spec.ipFamilies ?? []).filter((family): family is 'IPv4' | 'IPv6' =>
    cluster.includes(family as 'IPv4'),
  )
  const policy = service.spec.ipFamilyPolicy ?? 'SingleStack'
  const ordered = [...new Set([...asked, ...cluster])]
  return policy === 'SingleStack' ? ordered.slice(0, 1) : ordered
}

export function startServices(context: Context, plan: AddressPlan): void {
  const { client, mirrors } = context
  const taken = new Set<string>()
  for (const service of mirrors.services.all()) for (const ip of service.spec.clusterIPs ?? []) taken.add(ip)
  const allocate = (next: (index: number) => string): string => {
    for (let index = 0; ; index++) {
      const ip = next(index)
      if (!taken.has(ip)) {
        taken.add(ip)
        return ip
      }
    }
  }
  // Given and not seen back yet, by the Service's uid.
  const given = new Set<string>()
  const once = (uid: string | undefined, what: string): boolean => {
    const slot = `${uid} ${what}`
    if (given.has(slot)) return false
    given.add(slot)
    return true
  }
  const enqueue = createQueue(context, 'Service', async (key) => {
    const [namespace, name] = splitKey(key)
    const service = mirrors.services.get(namespace, name)
    if (!service || service.metadata.deletionTimestamp || service.spec.type === 'ExternalName') return
    const families = familiesOf(service, plan.families)
    const { uid } = service.metadata
    if (!service.spec.clusterIP && once(uid, 'cluster')) {
      const clusterIPs = families.map((family) => allocate((index) => plan.serviceIp(family, index)))
      const spec = {
        clusterIP: clusterIPs[0],
        clusterIPs,
        ipFamilies: families,
        ipFamilyPolicy: service.spec.ipFamilyPolicy ?? 'SingleStack',
      }
      await client.patch(resources.services, namespace, name, { spec })
    } else if (service.spec.clusterIP === 'None' && !service.spec.ipFamilies) {
      await client.patch(resources.services, namespace, name, { spec: { clusterIPs: ['None'], ipFamilies: families } })
    }
    if (
      service.spec.type === 'LoadBalancer' &&
      !service.status?.loadBalancer?.ingress?.length &&
      once(uid, 'load balancer')
    ) {
      const wish = service.spec.loadBalancerIP
      const ingress = wish
        ? [{ ip: wish }]
        : families.map((family) => ({ ip: allocate((index) => plan.loadBalancerIp(family, index)) }))
      await client.patch(resources.services, namespace, name, { status: { loadBalancer: { ingress } } }, 'status')
    }
  })
  mirrors.services.onChange((now, before) => {
    if (now) enqueue(keyOf(now))
    else {
      for (const ip of before?.spec.clusterIPs ?? []) taken.delete(ip)
      for (const { ip } of before?.status?.loadBalancer?.ingress ?? []) if (ip) taken.delete(ip)
    }
  })
  for (const service of mirrors.services.all()) enqueue(keyOf(service))
}

export function startNamespaces(context: Context, caPem: string): void {
  const { client, mirrors } = context
  const enqueue = createQueue(context, 'Namespace', async (key) => {
    const [, name] = splitKey(key)
    const namespace = mirrors.namespaces.get(undefined, name)
    if (!namespace || namespace.metadata.deletionTimestamp) return
    if (!mirrors.serviceAccounts.get(name, 'default')) {
      await client
        .create(resources.serviceAccounts, {
          apiVersion: 'v1',
          kind: 'ServiceAccount',
          metadata: { name: 'default', namespace: name },
        })
        .catch(ignoreConflict)
    }
    if (!mirrors.configMaps.get(name, 'kube-root-ca.crt')) {
      const map = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'kube-root-ca.crt', namespace: name },
        data: { 'ca.crt': caPem },
      }
      await client.create(resources.configMaps, map).catch(ignoreConflict)
    }
  })
  mirrors.namespaces.onChange((now) => now && enqueue(keyOf(now)))
  for (const namespace of mirrors.namespaces.all()) enqueue(keyOf(namespace))
}

function ignoreConflict(cause: unknown): void {
  if ((cause as { status?: number }).status !== 409) throw cause
}
