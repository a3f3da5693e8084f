// A translation as short YAML, for goldens: what a reader wants to compare, one line for each fact.
import { type DescMessage, type MessageShape, toJson } from '@bufbuild/protobuf'
import { l7, security, workload } from '@wishbone/proto'
import { stringify } from 'yaml'
import type { Condition } from '../src/kinds/index.ts'
import type { Mesh, StatusOf, Translation } from '../src/model/index.ts'

export const sections = [
  'statuses',
  'services',
  'workloads',
  'authorizations',
  'waypointAuthorizations',
  'requestPolicies',
  'listeners',
  'routes',
  'tcpRoutes',
  'udpRoutes',
  'certificates',
  'scopes',
  'events',
  'infra',
  'infraObjects',
  'recheckAt',
] as const
export type Section = (typeof sections)[number]

/** Only the named sections, so that a case shows what it is about. */
export function render(translation: Translation, shown: readonly Section[]): string {
  const output: Record<string, unknown> = {}
  for (const section of sections) if (shown.includes(section)) output[section] = renderSection(translation, section)
  return stringify(output, { lineWidth: 160, aliasDuplicateObjects: false })
}

function renderSection({ mesh, infra, statuses, events, recheckAtUnixMs }: Translation, section: Section): unknown {
  switch (section) {
    case 'statuses':
      return Object.fromEntries(statuses.filter(isTelling).map((status) => [nameOf(status), renderStatus(status)]))
    case 'events':
      return events.map(
        ({ object, reason, message }) => `${object.kind} ${object.namespace}/${object.name} ${reason}: ${message}`,
      )
    case 'infra':
      return infra.map((desired) =>
        desired.kind === 'apply'
          ? `apply ${desired.object.kind} ${desired.object.metadata.namespace ?? ''}/${desired.object.metadata.name}`
          : `${desired.kind} ${desired.ref.kind} ${desired.ref.namespace}/${desired.ref.name}`,
      )
    case 'infraObjects':
      return infra.map((desired) => (desired.kind === 'apply' ? desired.object : { [desired.kind]: desired.ref }))
    case 'recheckAt':
      return recheckAtUnixMs === undefined ? null : new Date(recheckAtUnixMs).toISOString()
    case 'scopes':
      return Object.fromEntries(
        [...mesh.scopes].map(([key, scope]) => [
          key,
          Object.fromEntries(
            Object.entries(scope).map(([name, value]) => [name, value instanceof Set ? [...value].sort() : value]),
          ),
        ]),
      )
    default:
      return renderMessages(mesh, section)
  }
}

function renderMessages(
  mesh: Mesh,
  section: Exclude<Section, 'statuses' | 'events' | 'infra' | 'infraObjects' | 'scopes' | 'recheckAt'>,
): unknown {
  switch (section) {
    case 'services':
      return json(workload.ServiceSchema, mesh.services)
    case 'workloads':
      return json(workload.WorkloadSchema, mesh.workloads)
    case 'authorizations':
      return json(security.AuthorizationSchema, mesh.authorizations)
    case 'waypointAuthorizations':
      return json(security.AuthorizationSchema, mesh.waypointAuthorizations)
    case 'requestPolicies':
      return json(l7.RequestPolicySchema, mesh.requestPolicies)
    case 'listeners':
      return json(l7.ListenerSchema, mesh.listeners)
    case 'routes':
      return json(l7.RouteSchema, mesh.routes)
    case 'tcpRoutes':
      return json(l7.TcpRouteSchema, mesh.tcpRoutes)
    case 'udpRoutes':
      return json(l7.UdpRouteSchema, mesh.udpRoutes)
    case 'certificates':
      return [...mesh.certificates.keys()]
  }
}

function json<Desc extends DescMessage>(schema: Desc, messages: ReadonlyMap<string, MessageShape<Desc>>): unknown {
  return Object.fromEntries([...messages].map(([name, message]) => [name, withoutRepetition(toJson(schema, message))]))
}

/** The key says the name, and goldens are not about where a message came from. */
function withoutRepetition(value: unknown): unknown {
  const { name: _name, uid: _uid, source: _source, precedence: _precedence, ...rest } = value as Record<string, unknown>
  return rest
}

/** The classes that an installation brings are the same in every case. */
function isTelling({ kind, conditions }: StatusOf): boolean {
  return kind !== 'GatewayClass' || conditions?.some(({ status }) => status === 'False') === true
}

function nameOf({ kind, namespace, name }: StatusOf): string {
  return `${kind} ${namespace ? `${namespace}/` : ''}${name}`
}

function renderStatus(status: StatusOf): unknown {
  const output: Record<string, unknown> = {}
  if (status.conditions) output['conditions'] = status.conditions.map(renderCondition)
  if (status.parents) {
    output['parents'] = status.parents.map(({ parentRef, controllerName, conditions }) => ({
      parent: [parentRef.kind ?? 'Gateway', parentRef.namespace, parentRef.name, parentRef.sectionName, parentRef.port]
        .filter(Boolean)
        .join(' '),
      controller: controllerName,
      conditions: conditions.map(renderCondition),
    }))
  }
  if (status.listeners) {
    output['listeners'] = Object.fromEntries(
      status.listeners.map(({ name, attachedRoutes, supportedKinds, conditions }) => [
        name,
        {
          attachedRoutes,
          supportedKinds: supportedKinds.map(({ kind }) => kind),
          conditions: conditions.map(renderCondition),
        },
      ]),
    )
  }
  if (status.attachedListenerSets) output['attachedListenerSets'] = status.attachedListenerSets
  if (status.ancestors) {
    output['ancestors'] = Object.fromEntries(
      status.ancestors.map(({ ancestorRef: { kind, namespace, name }, conditions }) => [
        `${kind} ${namespace}/${name}`,
        conditions.map(renderCondition),
      ]),
    )
  }
  if (status.addresses) output['addresses'] = status.addresses.map(({ type, value }) => `${type} ${value}`)
  return output
}

function renderCondition({ type, status, reason, message, observedGeneration }: Condition): string {
  return `${type}=${status} ${reason} @${observedGeneration}${message ? `: ${message}` : ''}`
}
