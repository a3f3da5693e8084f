// The controller as a child process: an account of its own at the API server, its ports on the loopback, one replica.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type KubeObject, resourcePath } from '@wishbone/runtime/kube'
import { resources } from '../client/api.ts'
import type { Context } from '../controllers/context.ts'
import type { Pod } from '../types.ts'
import { loopback, PodProcess } from './pod-process.ts'
import { freePorts } from './ports.ts'

export interface ControlPlaneOptions {
  readonly stateDir: string
  readonly apiPort: number
  readonly caPem: string
  readonly warn: (text: string) => void
}

const namespace = 'wishbone-system'
const account = 'wishbone-controller'
const tenYears = 10 * 365 * 86_400
const kinds = [
  'Namespace',
  'ServiceAccount',
  'ClusterRole',
  'ClusterRoleBinding',
  'Role',
  'RoleBinding',
  'GatewayClass',
]
const names = [namespace, account, 'wishbone']

/** Which objects of the machine's manifest make the controller's account and the class of its gateways. Pure. */
export function isNeeded(object: KubeObject): boolean {
  if (object.kind === 'CustomResourceDefinition') return true
  return kinds.includes(object.kind) && names.includes(object.metadata.name)
}

export async function startControlPlane(context: Context, options: ControlPlaneOptions): Promise<PodProcess> {
  const folder = join(options.stateDir, 'pods', account)
  mkdirSync(folder, { recursive: true })
  const kubeconfig = join(folder, 'kubeconfig')
  await writeAccount(context, options, kubeconfig)
  const pod = await context.client.create<Pod>(resources.pods, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: account, namespace, labels: { app: account } },
    spec: {
      serviceAccountName: account,
      nodeName: 'localhost',
      hostNetwork: true,
      automountServiceAccountToken: false,
      containers: [{ name: 'controller', image: 'wishbone', args: ['controller'] }],
    },
  } as Pod)
  // Proxies are told this one: it stays when the process does not.
  const [xds] = await freePorts(1)
  const process = new PodProcess({
    context,
    pod: { ...pod, apiVersion: 'v1', kind: 'Pod' },
    program: 'controller',
    logFolder: join(options.stateDir, 'logs', `${namespace}_${account}`),
    warn: options.warn,
    async prepare() {
      const [metrics, debug] = await freePorts(2)
      const environment = {
        PROXY_DRAIN_SECONDS: '30',
        ...globalThis.process.env,
        KUBECONFIG: kubeconfig,
        POD_NAME: account,
        POD_NAMESPACE: namespace,
        LEADER_ELECTION: 'false',
        EXTERNAL_NAME_BACKENDS: 'true',
        LISTEN_ADDRESS: loopback,
        XDS_PORT: String(xds),
        METRICS_PORT: String(metrics),
        DEBUG_PORT: String(debug),
        // A name that its certificate has.
        DISCOVERY_ADDRESS: `https://localhost:${xds}`,
      }
      context.log(`controller: configuration ${xds}, metrics ${metrics}, debug ${debug}`)
      return { environment, readinessUrl: `http://${loopback}:${debug}/ready` }
    },
  })
  process.start()
  return process
}

/** A kubeconfig with a token of the controller's account. */
async function writeAccount({ client }: Context, { apiPort, caPem }: ControlPlaneOptions, path: string): Promise<void> {
  const body = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { expirationSeconds: tenYears },
  }
  const answer = await client.kube.request<{ status: { token: string } }>(
    'POST',
    `${resourcePath(resources.serviceAccounts, namespace, account)}/token`,
    { body },
  )
  const cluster = {
    server: `https://${loopback}:${apiPort}`,
    'certificate-authority-data': Buffer.from(caPem).toString('base64'),
  }
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': account,
    clusters: [{ name: account, cluster }],
    users: [{ name: account, user: { token: answer.status.token } }],
    contexts: [{ name: account, context: { cluster: account, user: account } }],
  }
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 })
  chmodSync(path, 0o600)
}
