// Which Services a pod is an endpoint of, and on which of its ports.
import { create } from '@bufbuild/protobuf'
import { workload } from '@wishbone/proto'
import type { EndpointSlice, Pod, ServicePort } from '../../kinds/index.ts'
import { hasLabels } from '../selector.ts'
import { type MeshService, tcpPorts } from '../services/services.ts'
import { keyOf, type World } from '../world.ts'

export type Membership = Readonly<Record<string, workload.PortList>>

/** By selector; for Services without one, by EndpointSlices that refer to the pod. */
export function membershipOf(world: World, pod: Pod, services: readonly MeshService[]): Membership {
  const members: [string, workload.PortList][] = []
  for (const service of services) {
    const { selector } = service.object.spec
    if (selector && Object.keys(selector).length > 0) {
      if (hasLabels(pod.metadata.labels, selector)) members.push([service.name, portsOfPod(service, pod)])
      continue
    }
    // Ports that not all endpoints have are in slices of their own.
    const slices = (world.slicesOf.get(service.key) ?? []).filter((s) =>
      s.endpoints?.some((e) => refersTo(e.targetRef, pod)),
    )
    if (slices.length > 0) members.push([service.name, portsOfSlices(service, slices)])
  }
  return Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Service port to the slices' port of the same name. */
export function portsOfSlices(service: MeshService, slices: readonly EndpointSlice[]): workload.PortList {
  const ports = slices.flatMap((slice) => slice.ports ?? []).filter(({ protocol }) => (protocol ?? 'TCP') === 'TCP')
  return portList(
    tcpPorts(service.object),
    ({ name }) => ports.find((port) => (port.name ?? '') === (name ?? ''))?.port,
  )
}

function refersTo(ref: { kind?: string; namespace?: string; name?: string } | undefined, pod: Pod): boolean {
  return ref?.kind === 'Pod' && `${ref.namespace ?? pod.metadata.namespace}/${ref.name}` === keyOf(pod)
}

function portsOfPod(service: MeshService, pod: Pod): workload.PortList {
  return portList(tcpPorts(service.object), ({ port, targetPort }) =>
    typeof targetPort === 'string' ? containerPort(pod, targetPort) : (targetPort ?? port),
  )
}

/** A port that can't be resolved for this endpoint is left out. */
function portList(ports: readonly ServicePort[], target: (port: ServicePort) => number | undefined) {
  return create(workload.PortListSchema, {
    ports: ports.flatMap((port) => {
      const targetPort = target(port)
      return targetPort === undefined ? [] : [{ servicePort: port.port, targetPort }]
    }),
  })
}

function containerPort(pod: Pod, name: string): number | undefined {
  const sidecars = (pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')
  for (const container of [...(pod.spec.containers ?? []), ...sidecars]) {
    for (const port of container.ports ?? []) {
      if (port.name === name && (port.protocol ?? 'TCP') === 'TCP') return port.containerPort
    }
  }
  return undefined
}
