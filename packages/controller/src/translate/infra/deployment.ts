// The Deployment of a waypoint or gateway: the waypoint program under an identity of its own.
import type { Settings } from '../../model/index.ts'
import { labels } from '../names.ts'

export const drainVariable = 'CONNECTION_TERMINATION_DEADLINE'
/** What a pod is given beyond the drain, to end in order. */
export const drainReserveSeconds = 5

export interface ProxyFacts {
  readonly name: string
  readonly namespace: string
  readonly gateway: string
  /** Label that selects its pods. */
  readonly selector: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** It listens on ports below 1024, as the listeners' own, without being root. */
  readonly lowPorts: boolean
}

/** Spec of the Deployment; replicas are left to whoever scales it. */
export function deploymentSpec(facts: ProxyFacts, settings: Settings) {
  const podLabels = {
    ...facts.labels,
    ...facts.selector,
    [labels.dataplaneMode]: 'none',
    'sidecar.istio.io/inject': 'false',
    'service.istio.io/canonical-name': facts.selector[labels.gatewayName]!,
    'service.istio.io/canonical-revision': 'latest',
  }
  return {
    selector: { matchLabels: facts.selector },
    // The next one is ready before the last one stops.
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
    template: {
      metadata: {
        labels: podLabels,
        ...(Object.keys(facts.annotations).length > 0 ? { annotations: facts.annotations } : {}),
      },
      spec: {
        serviceAccountName: facts.name,
        // As process 1 it would not hear a SIGTERM that comes before its handler is in place, and stay until it is killed.
        shareProcessNamespace: true,
        // It talks to the controller by the token below, and to no API server.
        automountServiceAccountToken: false,
        // Without open streams the program ends at once.
        terminationGracePeriodSeconds: drainSeconds(settings) + drainReserveSeconds,
        securityContext: {
          runAsNonRoot: true,
          runAsUser: 1337,
          runAsGroup: 1337,
          fsGroup: 1337,
          seccompProfile: { type: 'RuntimeDefault' },
          ...(facts.lowPorts ? { sysctls: [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '0' }] } : {}),
        },
        containers: [
          {
            name: 'wishbone',
            image: settings.image,
            args: ['waypoint'],
            env: environment(facts, settings),
            ports: [
              { name: 'metrics', containerPort: 15020, protocol: 'TCP' },
              { name: 'status-port', containerPort: 15021, protocol: 'TCP' },
            ],
            readinessProbe: {
              httpGet: { path: '/healthz/ready', port: 15021 },
              periodSeconds: 5,
              timeoutSeconds: 3,
              failureThreshold: 3,
            },
            // Only so that readiness is noticed at once: without a controller a restart would help nothing.
            startupProbe: {
              httpGet: { path: '/healthz/ready', port: 15021 },
              periodSeconds: 1,
              failureThreshold: 3600,
            },
            resources: { requests: { cpu: '100m', memory: '128Mi' } },
            securityContext: {
              allowPrivilegeEscalation: false,
              capabilities: { drop: ['ALL'] },
              readOnlyRootFilesystem: true,
            },
            volumeMounts: [
              { name: 'istio-token', mountPath: '/var/run/secrets/tokens', readOnly: true },
              { name: 'wishbone-ca-root-cert', mountPath: '/var/run/secrets/wishbone', readOnly: true },
            ],
          },
        ],
        volumes: [
          {
            name: 'istio-token',
            projected: {
              sources: [
                { serviceAccountToken: { audience: 'istio-ca', expirationSeconds: 43_200, path: 'istio-token' } },
              ],
            },
          },
          { name: 'wishbone-ca-root-cert', configMap: { name: 'wishbone-ca-root-cert' } },
        ],
      },
    },
  }
}

/** A variable that is handed on may say otherwise than the setting. */
function drainSeconds({ drainSeconds: seconds, proxyEnvironment }: Settings): number {
  const handed = /^(\d+)s?$/.exec(proxyEnvironment[drainVariable] ?? '')?.[1]
  return handed === undefined ? seconds : Number(handed)
}

function environment(facts: ProxyFacts, settings: Settings) {
  const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } })
  const values: Readonly<Record<string, string>> = {
    CLUSTER_DOMAIN: settings.clusterDomain,
    CLUSTER_ID: settings.clusterId,
    TRUST_DOMAIN: settings.trustDomain,
    XDS_ADDRESS: settings.discoveryAddress,
    CA_ADDRESS: settings.discoveryAddress,
    // For its logs only: what it may see is decided by its token.
    GATEWAY_NAME: facts.gateway,
    [drainVariable]: String(settings.drainSeconds),
    ...settings.proxyEnvironment,
  }
  return [
    field('POD_NAME', 'metadata.name'),
    field('POD_NAMESPACE', 'metadata.namespace'),
    field('NODE_NAME', 'spec.nodeName'),
    field('INSTANCE_IP', 'status.podIP'),
    field('SERVICE_ACCOUNT', 'spec.serviceAccountName'),
    ...Object.entries(values)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => ({ name, value })),
  ]
}
