// l7 Listeners: of waypoints, one for each port of a bound Service and one for each bound workload;
// of gateways, one for each listener that can serve.
import { create } from '@bufbuild/protobuf'
import { l7 } from '@wishbone/proto'
import type { KubeObject } from '../../kinds/index.ts'
import { generationOf } from '../conditions.ts'
import { everyListener, isServed, type TranslatedGateway } from '../gateways/gateways.ts'
import type { ListenerTls } from '../gateways/listener-tls.ts'
import type { TargetedPolicy } from '../policies/policies.ts'
import { serviceListenerName } from '../routes/parents.ts'
import type { TranslatedRoute } from '../routes/routes.ts'
import { appProtocolOf, listenerProtocol } from '../services/protocol.ts'
import { type MeshService, tcpPorts } from '../services/services.ts'
import type { MeshWorkload } from '../workloads/workloads.ts'
import { compareText, keyOf } from '../world.ts'
import type { Bindings } from './binding.ts'

export interface ListenerInput {
  readonly services: ReadonlyMap<string, MeshService>
  readonly workloads: ReadonlyMap<string, MeshWorkload>
  readonly gateways: ReadonlyMap<string, TranslatedGateway>
  readonly bindings: Bindings
  readonly routes: readonly TranslatedRoute[]
  readonly policies: readonly TargetedPolicy[]
}

export interface Listeners {
  readonly messages: ReadonlyMap<string, l7.Listener>
  /** Listener names of each waypoint and gateway, by `<namespace>/<gateway>`. */
  readonly ofGateway: ReadonlyMap<string, readonly string[]>
}

/** What routes say about one listener; the kinds are those of the producer's. */
interface RouteFacts {
  produced: boolean
  http: boolean
  tls: boolean
  tcp: boolean
  readonly consumers: Set<string>
}

export function buildListeners(input: ListenerInput): Listeners {
  const messages = new Map<string, l7.Listener>()
  const ofGateway = new Map<string, string[]>()
  const facts = routeFacts(input.routes)
  const add = (gateway: string, message: l7.Listener) => {
    messages.set(message.name, message)
    ofGateway.set(gateway, [...(ofGateway.get(gateway) ?? []), message.name])
  }
  for (const [key, binding] of input.bindings.services) {
    const service = input.services.get(key)
    if (binding.kind !== 'bound' || !service) continue
    const policies = policiesFor(input, binding.waypoint.key, key)
    for (const port of tcpPorts(service.object)) {
      const name = serviceListenerName(service, port.port)
      const known = facts.get(name)
      const value = { namespace: service.namespace, hostname: service.hostname, port: port.port }
      add(
        binding.waypoint.key,
        create(l7.ListenerSchema, {
          name,
          source: sourceOf(service.object, String(port.port)),
          protocol: listenerProtocol(appProtocolOf(port), known),
          bound: { case: 'service', value },
          hasRoutes: known?.produced ?? false,
          policies,
          consumerNamespaces: [...(known?.consumers ?? [])].sort(compareText),
        }),
      )
    }
  }
  for (const [uid, binding] of input.bindings.workloads) {
    const pod = input.workloads.get(uid)?.pod
    if (binding.kind !== 'bound' || !pod) continue
    add(
      binding.waypoint.key,
      create(l7.ListenerSchema, {
        name: `workload/${uid}`,
        source: sourceOf(pod, ''),
        bound: { case: 'workload', value: { uid } },
        policies: policiesFor(input, binding.waypoint.key),
      }),
    )
  }
  for (const gateway of input.gateways.values()) {
    if (gateway.kind !== 'gateway' || !isServed(gateway)) continue
    const policies = policiesFor(input, gateway.key)
    for (const { spec, owner, name, bound, protocol, usable, tls } of everyListener(gateway)) {
      if (!usable) continue
      add(
        gateway.key,
        create(l7.ListenerSchema, {
          name,
          source: sourceOf(owner, spec.name),
          protocol,
          bound: { case: 'gateway', value: bound },
          hasRoutes: true,
          policies,
          ...(tls?.terminates ? { tls: terminationOf(tls) } : {}),
          backendClientCertificate: gateway.backendCertificate?.name ?? '',
        }),
      )
    }
  }
  return { messages, ofGateway }
}

function terminationOf({ certificates, clientValidation }: ListenerTls) {
  return { certificates: certificates.map(({ name }) => name), ...(clientValidation ? { clientValidation } : {}) }
}

function noFacts(): RouteFacts {
  return { produced: false, http: false, tls: false, tcp: false, consumers: new Set() }
}

function routeFacts(routes: readonly TranslatedRoute[]): ReadonlyMap<string, RouteFacts> {
  const facts = new Map<string, RouteFacts>()
  for (const { routes: http, tcpRoutes } of routes) {
    for (const message of [...http, ...tcpRoutes]) {
      for (const { listener } of message.parents) {
        const known = facts.get(listener) ?? noFacts()
        facts.set(listener, known)
        if (message.consumerNamespace !== '') {
          // It is for clients of its own namespace, whoever wrote it; what others speak here is not for it to say.
          known.consumers.add(message.consumerNamespace)
          continue
        }
        known.produced = true
        if (message.$typeName === 'wishbone.l7.v1.Route') known.http = true
        else if (message.source?.kind === 'TLSRoute') known.tls = true
        else known.tcp = true
      }
    }
  }
  return facts
}

/** Policies on the waypoint's or gateway's class, on itself, and on the Service: all of them apply. */
function policiesFor(input: ListenerInput, gatewayKey: string, serviceKey?: string): string[] {
  const gateway = input.gateways.get(gatewayKey)
  return input.policies
    .filter(({ targets }) =>
      targets.some(
        (target) =>
          (target.kind === 'gateway' && target.key === gatewayKey) ||
          (target.kind === 'class' && target.name === gateway?.object.spec.gatewayClassName) ||
          (target.kind === 'service' && target.key === serviceKey),
      ),
    )
    .map(({ name }) => name)
}

function sourceOf(object: KubeObject, section: string) {
  const [namespace, name] = keyOf(object).split('/') as [string, string]
  return { kind: object.kind, namespace, name, section, generation: BigInt(generationOf(object)) }
}
