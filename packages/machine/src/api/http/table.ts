// Tables: the columns that `kubectl get` prints. Columns of custom kinds come from additionalPrinterColumns.
import { fields, isMap, type JsonMap, type KubeObject, listAt, mapAt } from '../objects/object.ts'
import type { Resource } from '../objects/resources.ts'

interface Column {
  readonly name: string
  readonly type?: string
  /** Above 0 only with `-o wide`. */
  readonly priority?: number
  readonly cell: (object: JsonMap) => unknown
}

const nameColumn: Column = { name: 'Name', cell: (object) => mapAt(object, 'metadata')?.name }
const ageColumn: Column = {
  name: 'Age',
  cell: (object) => age(mapAt(object, 'metadata')?.creationTimestamp),
}

/** A duration since a time as kubectl prints it: 45s, 3m10s, 2h5m, 4d. */
export function age(since: unknown, now: number = Date.now()): string {
  if (typeof since !== 'string') return '<unknown>'
  const seconds = Math.max(0, Math.floor((now - Date.parse(since)) / 1000))
  if (Number.isNaN(seconds)) return '<invalid>'
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`
  if (minutes < 180) return `${minutes}m`
  const hours = Math.floor(minutes / 60)
  if (hours < 8) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`
  if (hours < 48) return `${hours}h`
  const days = Math.floor(hours / 24)
  return days < 8 && hours % 24 !== 0 ? `${days}d${hours % 24}h` : `${days}d`
}

const at = (object: JsonMap, path: string): unknown => {
  let value: unknown = object
  for (const step of path.split('.')) value = isMap(value) ? value[step] : undefined
  return value
}
const text = (value: unknown, empty = '<none>'): string =>
  value === undefined || value === '' || value === null ? empty : String(value)
const from = (path: string, empty?: string) => (object: JsonMap) => text(at(object, path), empty)
const number = (path: string) => (object: JsonMap) => Number(at(object, path) ?? 0)
const joined = (values: readonly unknown[]): string => text(values.join(','))
const labelsText = (labels: unknown): string =>
  joined(Object.entries(isMap(labels) ? labels : {}).map(([key, value]) => `${key}=${String(value)}`))

function containersOf(object: JsonMap): readonly JsonMap[] {
  return listAt(object, 'status', 'containerStatuses').filter(isMap)
}

/** The word that `kubectl get pods` shows: the phase, or why a container is not running. */
function podStatus(object: JsonMap): string {
  let word = text(at(object, 'status.reason') ?? at(object, 'status.phase'), 'Unknown')
  const inits = listAt(object, 'status', 'initContainerStatuses').filter(isMap)
  for (const [index, status] of inits.entries()) {
    const ended = mapAt(status, 'state', 'terminated')
    if (ended?.exitCode === 0) continue
    const why = mapAt(status, 'state', 'waiting')?.reason
    if (ended !== undefined) return `Init:${text(ended.reason, 'Error')}`
    if (why !== undefined && why !== 'PodInitializing') return `Init:${String(why)}`
    return `Init:${index}/${inits.length}`
  }
  for (const status of containersOf(object)) {
    const reason = mapAt(status, 'state', 'waiting')?.reason ?? mapAt(status, 'state', 'terminated')?.reason
    if (reason !== undefined) word = String(reason)
  }
  if (word === 'Completed' && containersOf(object).some((status) => mapAt(status, 'state', 'running') !== undefined))
    word = 'Running'
  return at(object, 'metadata.deletionTimestamp') === undefined ? word : 'Terminating'
}

const podColumns: readonly Column[] = [
  nameColumn,
  {
    name: 'Ready',
    cell: (object) =>
      `${containersOf(object).filter((status) => status.ready === true).length}/${listAt(object, 'spec', 'containers').length}`,
  },
  { name: 'Status', cell: podStatus },
  {
    name: 'Restarts',
    type: 'string',
    cell: (object) => String(containersOf(object).reduce((sum, status) => sum + Number(status.restartCount ?? 0), 0)),
  },
  ageColumn,
  { name: 'IP', priority: 1, cell: from('status.podIP') },
  { name: 'Node', priority: 1, cell: from('spec.nodeName') },
  { name: 'Nominated Node', priority: 1, cell: from('status.nominatedNodeName') },
  { name: 'Readiness Gates', priority: 1, cell: () => '<none>' },
]

function servicePorts(object: JsonMap): string {
  return joined(
    listAt(object, 'spec', 'ports')
      .filter(isMap)
      .map((port) => `${port.port}${port.nodePort === undefined ? '' : `:${port.nodePort}`}/${port.protocol}`),
  )
}

function externalAddress(object: JsonMap): string {
  const ingress = listAt(mapAt(object, 'status', 'loadBalancer') ?? {}, 'ingress').filter(isMap)
  if (ingress.length > 0) return ingress.map((entry) => entry.ip ?? entry.hostname).join(',')
  return at(object, 'spec.type') === 'LoadBalancer' ? '<pending>' : text(at(object, 'spec.externalName'))
}

const templateImages = (object: JsonMap): readonly Column['cell'][] => {
  const containers = listAt(mapAt(object, 'spec', 'template', 'spec') ?? {}, 'containers').filter(isMap)
  return [() => joined(containers.map((one) => one.name)), () => joined(containers.map((one) => one.image))]
}
const wideWorkload: readonly Column[] = [
  { name: 'Containers', priority: 1, cell: (object) => templateImages(object)[0]!(object) },
  { name: 'Images', priority: 1, cell: (object) => templateImages(object)[1]!(object) },
  { name: 'Selector', priority: 1, cell: (object) => labelsText(at(object, 'spec.selector.matchLabels')) },
]
const replicas = (object: JsonMap): string =>
  `${Number(at(object, 'status.readyReplicas') ?? 0)}/${Number(at(object, 'spec.replicas') ?? 0)}`
const integer = (name: string, path: string): Column => ({ name, type: 'integer', cell: number(path) })

function nodeStatus(object: JsonMap): string {
  const ready = listAt(object, 'status', 'conditions')
    .filter(isMap)
    .find((condition) => condition.type === 'Ready')
  return ready?.status === 'True' ? 'Ready' : 'NotReady'
}

const builtinColumns: Readonly<Record<string, readonly Column[]>> = {
  '/pods': podColumns,
  '/namespaces': [nameColumn, { name: 'Status', cell: from('status.phase') }, ageColumn],
  '/nodes': [
    nameColumn,
    { name: 'Status', cell: nodeStatus },
    { name: 'Roles', cell: () => '<none>' },
    ageColumn,
    { name: 'Version', cell: from('status.nodeInfo.kubeletVersion') },
    {
      name: 'Internal-IP',
      priority: 1,
      cell: (object) =>
        text(
          listAt(object, 'status', 'addresses')
            .filter(isMap)
            .find((entry) => entry.type === 'InternalIP')?.address,
        ),
    },
    { name: 'OS-Image', priority: 1, cell: from('status.nodeInfo.osImage') },
    { name: 'Container-Runtime', priority: 1, cell: from('status.nodeInfo.containerRuntimeVersion') },
  ],
  '/services': [
    nameColumn,
    { name: 'Type', cell: from('spec.type') },
    { name: 'Cluster-IP', cell: from('spec.clusterIP') },
    { name: 'External-IP', cell: externalAddress },
    { name: 'Port(s)', cell: servicePorts },
    ageColumn,
    { name: 'Selector', priority: 1, cell: (object) => labelsText(at(object, 'spec.selector')) },
  ],
  '/serviceaccounts': [
    nameColumn,
    { name: 'Secrets', type: 'integer', cell: (object) => listAt(object, 'secrets').length },
    ageColumn,
  ],
  '/secrets': [
    nameColumn,
    { name: 'Type', cell: from('type') },
    { name: 'Data', type: 'integer', cell: (object) => Object.keys(mapAt(object, 'data') ?? {}).length },
    ageColumn,
  ],
  '/configmaps': [
    nameColumn,
    { name: 'Data', type: 'integer', cell: (object) => Object.keys(mapAt(object, 'data') ?? {}).length },
    ageColumn,
  ],
  '/events': [
    {
      name: 'Last Seen',
      cell: (object) => age(object.lastTimestamp ?? object.eventTime ?? at(object, 'metadata.creationTimestamp')),
    },
    { name: 'Type', cell: from('type') },
    { name: 'Reason', cell: from('reason') },
    {
      name: 'Object',
      cell: (object) =>
        `${text(at(object, 'involvedObject.kind'), '').toLowerCase()}/${text(at(object, 'involvedObject.name'), '')}`,
    },
    { name: 'Message', cell: from('message', '') },
  ],
  'apps/deployments': [
    nameColumn,
    { name: 'Ready', cell: replicas },
    integer('Up-to-date', 'status.updatedReplicas'),
    integer('Available', 'status.availableReplicas'),
    ageColumn,
    ...wideWorkload,
  ],
  'apps/replicasets': [
    nameColumn,
    integer('Desired', 'spec.replicas'),
    integer('Current', 'status.replicas'),
    integer('Ready', 'status.readyReplicas'),
    ageColumn,
    ...wideWorkload,
  ],
  'apps/statefulsets': [nameColumn, { name: 'Ready', cell: replicas }, ageColumn, ...wideWorkload.slice(0, 2)],
  'apps/daemonsets': [
    nameColumn,
    integer('Desired', 'status.desiredNumberScheduled'),
    integer('Current', 'status.currentNumberScheduled'),
    integer('Ready', 'status.numberReady'),
    integer('Up-to-date', 'status.updatedNumberScheduled'),
    integer('Available', 'status.numberAvailable'),
    { name: 'Node Selector', cell: (object) => labelsText(at(object, 'spec.template.spec.nodeSelector')) },
    ageColumn,
    ...wideWorkload,
  ],
  'batch/jobs': [
    nameColumn,
    { name: 'Status', cell: jobStatus },
    {
      name: 'Completions',
      cell: (object) => `${Number(at(object, 'status.succeeded') ?? 0)}/${Number(at(object, 'spec.completions') ?? 1)}`,
    },
    {
      name: 'Duration',
      cell: (object) =>
        at(object, 'status.startTime') === undefined
          ? ''
          : age(
              at(object, 'status.startTime'),
              Date.parse(text(at(object, 'status.completionTime'), '')) || Date.now(),
            ),
    },
    ageColumn,
  ],
  'discovery.k8s.io/endpointslices': [
    nameColumn,
    { name: 'AddressType', cell: from('addressType') },
    {
      name: 'Ports',
      cell: (object) =>
        joined(
          listAt(object, 'ports')
            .filter(isMap)
            .map((port) => port.port),
        ),
    },
    {
      name: 'Endpoints',
      cell: (object) =>
        joined(
          listAt(object, 'endpoints')
            .filter(isMap)
            .flatMap((endpoint) => listAt(endpoint, 'addresses')),
        ),
    },
    ageColumn,
  ],
  'coordination.k8s.io/leases': [nameColumn, { name: 'Holder', cell: from('spec.holderIdentity') }, ageColumn],
  'apiextensions.k8s.io/customresourcedefinitions': [
    nameColumn,
    { name: 'Created At', cell: from('metadata.creationTimestamp') },
  ],
  'rbac.authorization.k8s.io/clusterroles': [
    nameColumn,
    { name: 'Created At', cell: from('metadata.creationTimestamp') },
  ],
  'rbac.authorization.k8s.io/roles': [nameColumn, { name: 'Created At', cell: from('metadata.creationTimestamp') }],
  'rbac.authorization.k8s.io/clusterrolebindings': [nameColumn, { name: 'Role', cell: roleText }, ageColumn],
  'rbac.authorization.k8s.io/rolebindings': [nameColumn, { name: 'Role', cell: roleText }, ageColumn],
}

function jobStatus(object: JsonMap): string {
  const conditions = listAt(object, 'status', 'conditions').filter(isMap)
  const final = conditions.find(
    (condition) => (condition.type === 'Complete' || condition.type === 'Failed') && condition.status === 'True',
  )
  return text(final?.type, 'Running')
}

function roleText(object: JsonMap): string {
  return `${text(at(object, 'roleRef.kind'))}/${text(at(object, 'roleRef.name'))}`
}

/** A JSONPath of the subset that printer columns use: fields, indexes, `[?(@.type=="Ready")]`, `[*]`. */
export function readJsonPath(object: unknown, path: string): unknown {
  let values: unknown[] = [object]
  for (const [, field, quoted, filter, index] of path.matchAll(
    /\.([A-Za-z0-9_-]+)|\['([^']+)'\]|\[\?\(@\.([^)]*)\)\]|\[(\d+|\*)\]/g,
  )) {
    const key = field ?? quoted
    if (key !== undefined) values = values.map((value) => (isMap(value) ? value[key] : undefined))
    else if (filter !== undefined) {
      const match = /^([A-Za-z0-9_.-]+)\s*==\s*['"](.*)['"]$/.exec(filter)
      values = values.flatMap((value) =>
        (Array.isArray(value) ? value : []).filter(
          (item) => match !== null && isMap(item) && String(at(item, match[1]!)) === match[2],
        ),
      )
    } else if (index === '*') values = values.flatMap((value) => (Array.isArray(value) ? value : []))
    else values = values.map((value) => (Array.isArray(value) ? value[Number(index)] : undefined))
    values = values.filter((value) => value !== undefined)
  }
  return values.length > 1 ? values.join(',') : values[0]
}

function columnsOf(resource: Resource): readonly Column[] {
  const known = builtinColumns[resource.key]
  if (known !== undefined) return known
  if (resource.columns.length === 0) return [nameColumn, ageColumn]
  return [
    nameColumn,
    ...resource.columns.map(
      (column): Column => ({
        name: column.name,
        type: column.type,
        priority: column.priority ?? 0,
        cell: (object) => {
          const value = readJsonPath(object, column.jsonPath)
          if (column.type === 'date') return value === undefined ? '' : age(value)
          if (value === undefined) return ''
          return column.type === 'string' && typeof value === 'object' ? JSON.stringify(value) : value
        },
      }),
    ),
  ]
}

/** A meta.k8s.io/v1 Table of the objects. `withColumns`: false for the later rows of a watch. */
export function tableOf(
  resource: Resource,
  objects: readonly KubeObject[],
  listMetadata: JsonMap,
  options: { readonly include: 'Metadata' | 'Object' | 'None'; readonly withColumns: boolean },
): JsonMap {
  const columns = columnsOf(resource)
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: listMetadata,
    columnDefinitions: options.withColumns
      ? columns.map((column) => ({
          name: column.name,
          type: column.type ?? 'string',
          format: column === nameColumn ? 'name' : '',
          description: column.name,
          priority: column.priority ?? 0,
        }))
      : null,
    rows: objects.map((object) => ({
      cells: columns.map((column) => column.cell(fields(object)) ?? ''),
      object:
        options.include === 'Object'
          ? object
          : options.include === 'None'
            ? null
            : { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata },
    })),
  }
}
