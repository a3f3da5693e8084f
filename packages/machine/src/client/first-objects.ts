// The objects that no controller makes, and that are there from the beginning: nodes, and the Service of the API server.
import { release } from 'node:os'
import { timestamp } from '../api/objects/object.ts'
import type { NodeNetwork } from '../network/fabric.ts'
import { type ApiClient, resources } from './api.ts'

export async function createNodeObjects(client: ApiClient, nodes: ReadonlyMap<string, NodeNetwork>): Promise<void> {
  for (const [name, network] of nodes) {
    const labels = {
      'kubernetes.io/hostname': name,
      'kubernetes.io/os': 'linux',
      'kubernetes.io/arch': process.arch === 'x64' ? 'amd64' : process.arch,
    }
    await client.create(resources.nodes, {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, labels },
      spec: {},
    } as never)
    const addresses = [
      ...network.ips.map((address) => ({ type: 'InternalIP', address })),
      { type: 'Hostname', address: name },
    ]
    const conditions = [
      {
        type: 'Ready',
        status: 'True',
        reason: 'KubeletReady',
        lastTransitionTime: timestamp(),
      },
    ]
    const nodeInfo = {
      architecture: labels['kubernetes.io/arch'],
      bootID: '',
      containerRuntimeVersion: 'process://1',
      kernelVersion: release(),
      kubeProxyVersion: '',
      kubeletVersion: 'v1.36.0-wishbone',
      machineID: '',
      operatingSystem: 'linux',
      osImage: 'this machine',
      systemUUID: '',
    }
    await client.patch(
      resources.nodes,
      undefined,
      name,
      { status: { addresses, conditions, nodeInfo, capacity: { pods: '253' }, allocatable: { pods: '253' } } },
      'status',
    )
  }
}

/** The Service `kubernetes` and its endpoints, which no controller makes. */
export async function createApiService(
  client: ApiClient,
  service: readonly string[],
  server: readonly string[],
): Promise<void> {
  const metadata = { name: 'kubernetes', namespace: 'default' }
  const families = service.map((ip) => (ip.includes(':') ? 'IPv6' : 'IPv4'))
  await client.create(resources.services, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: {
      clusterIP: service[0],
      clusterIPs: service,
      ipFamilies: families,
      ports: [{ name: 'https', port: 443, targetPort: 6443 }],
    },
  } as never)
  for (const [index, ip] of server.entries()) {
    await client.create(resources.endpointSlices, {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: `kubernetes-${families[index]?.toLowerCase()}`,
        namespace: 'default',
        labels: { 'kubernetes.io/service-name': 'kubernetes' },
      },
      addressType: families[index],
      ports: [{ name: 'https', port: 6443, protocol: 'TCP' }],
      endpoints: [{ addresses: [ip], conditions: { ready: true } }],
    } as never)
  }
}
