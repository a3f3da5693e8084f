// The shape of ztunnel's configuration dump as istioctl's types read it (istio: istioctl/pkg/writer/ztunnel/configdump/api.go):
// Go refuses a whole dump for one member of another type.

type Shape = 'text' | 'number' | 'anything' | { readonly list: Shape } | { readonly map: Shape } | Fields
interface Fields {
  /** A name that ends with "?" may be absent. */
  readonly fields: Readonly<Record<string, Shape>>
}

const list = (shape: Shape): Shape => ({ list: shape })

const gateway: Fields = { fields: { destination: 'text' } }
const textMatch: Fields = {
  fields: { 'Exact?': 'text', 'Suffix?': 'text', 'Prefix?': 'text', 'Presence?': 'anything' },
}
const account: Fields = { fields: { namespace: 'text', serviceAccount: 'text' } }
const connection: Fields = { fields: { src: 'text', originalDst: 'text', actualDst: 'text', protocol: 'text' } }
const certificate: Fields = { fields: { pem: 'text', serialNumber: 'text', validFrom: 'text', expirationTime: 'text' } }

const match: Fields = {
  fields: Object.fromEntries(
    Object.entries<Shape>({
      namespaces: list(textMatch),
      principals: list(textMatch),
      sourceIps: list('text'),
      destinationIps: list('text'),
      destinationPorts: list('number'),
      serviceAccounts: list(account),
    }).flatMap(([name, shape]) => [
      [`${name}?`, shape],
      [`not${name[0]!.toUpperCase()}${name.slice(1)}?`, shape],
    ]),
  ),
}

const workload: Fields = {
  fields: {
    uid: 'text',
    workloadIps: list('text'),
    'waypoint?': gateway,
    'networkGateway?': gateway,
    protocol: 'text',
    name: 'text',
    namespace: 'text',
    serviceAccount: 'text',
    workloadName: 'text',
    workloadType: 'text',
    canonicalName: 'text',
    canonicalRevision: 'text',
    clusterId: 'text',
    trustDomain: 'text',
    locality: { fields: { 'region?': 'text', 'zone?': 'text', 'subzone?': 'text' } },
    node: 'text',
    network: 'text',
    status: 'text',
    hostname: 'text',
    capacity: 'number',
    'authorizationPolicies?': list('text'),
  },
}

const service: Fields = {
  fields: {
    name: 'text',
    namespace: 'text',
    hostname: 'text',
    vips: list('text'),
    ports: { map: 'number' },
    'loadBalancer?': { fields: { mode: 'text', routingPreferences: list('text'), healthPolicy: 'text' } },
    'waypoint?': gateway,
    endpoints: { map: { fields: { workloadUid: 'text', service: 'text', port: { map: 'number' } } } },
    'subjectAltNames?': list('text'),
    ipFamilies: 'text',
  },
}

const dump: Fields = {
  fields: {
    workloads: list(workload),
    services: list(service),
    policies: list({
      fields: { name: 'text', namespace: 'text', scope: 'text', action: 'text', rules: list(list(list(match))) },
    }),
    certificates: list({
      fields: { identity: 'text', state: 'text', certChain: list(certificate), rootCerts: list(certificate) },
    }),
    workloadState: {
      map: {
        fields: {
          state: 'text',
          connections: { fields: { inbound: list(connection), outbound: list(connection) } },
          info: { fields: { name: 'text', namespace: 'text', trustDomain: 'text', serviceAccount: 'text' } },
        },
      },
    },
  },
}

/** Where the dump is not what istioctl reads: path and what was expected there. Empty: it can be read. */
export function misfits(value: unknown): readonly string[] {
  return misfitsOf(value, dump, '')
}

function misfitsOf(value: unknown, shape: Shape, path: string): readonly string[] {
  if (shape === 'anything') return []
  if (shape === 'text' || shape === 'number')
    return typeof value === (shape === 'text' ? 'string' : 'number') ? [] : [`${path}: no ${shape}`]
  if ('list' in shape) {
    if (!Array.isArray(value)) return [`${path}: no list`]
    return value.flatMap((one, index) => misfitsOf(one, shape.list, `${path}[${index}]`))
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${path}: no object`]
  if ('map' in shape)
    return Object.entries(value).flatMap(([name, one]) => misfitsOf(one, shape.map, `${path}.${name}`))
  return Object.entries(shape.fields).flatMap(([key, member]) => {
    const name = key.replace('?', '')
    const one = (value as Readonly<Record<string, unknown>>)[name]
    if (one === undefined) return key.endsWith('?') ? [] : [`${path}.${name}: absent`]
    return misfitsOf(one, member, `${path}.${name}`)
  })
}
