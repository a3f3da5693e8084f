// The ports at which the kubelet calls a pod: its probes and HTTP lifecycle hooks. exec needs none.
import type { Container, Pod, ProbeAction } from '../kinds.ts'

/** Sorted, without repetition. Ports given by a name that no container port has are left out, as the kubelet can't call them. */
export function probePortsOf(pod: Pod): readonly number[] {
  const ports = new Set<number>()
  for (const container of [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])])
    for (const action of actionsOf(container)) {
      const port = portOf(action, container)
      if (port !== undefined) ports.add(port)
    }
  return [...ports].sort((a, b) => a - b)
}

function actionsOf(container: Container): readonly ProbeAction[] {
  const { livenessProbe, readinessProbe, startupProbe, lifecycle } = container
  return [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop].filter(
    (action) => action !== undefined,
  )
}

function portOf({ httpGet, tcpSocket, grpc }: ProbeAction, container: Container): number | undefined {
  // With a host of its own the probe does not go to the pod.
  const call = [httpGet, tcpSocket].find((one) => one !== undefined && (one.host ?? '') === '')
  const port = call?.port ?? grpc?.port
  const number = typeof port === 'string' && !/^\d+$/.test(port) ? named(port, container) : Number(port)
  return number !== undefined && Number.isInteger(number) && number > 0 && number < 65_536 ? number : undefined
}

function named(name: string, container: Container): number | undefined {
  return container.ports?.find((port) => port.name === name)?.containerPort
}
