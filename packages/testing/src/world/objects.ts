// The objects that most worlds have: a namespace, a server for every protocol, a client on each node.

export interface CastOptions {
  readonly namespace?: string
  /** In the mesh from the start. */
  readonly ambient?: boolean
  readonly replicas?: number
  /** No node has two servers more than another. */
  readonly spread?: boolean
}

export function castOf(options: CastOptions = {}): string {
  const namespace = options.namespace ?? 'shop'
  const label = options.ambient === false ? '' : '\n  labels: { istio.io/dataplane-mode: ambient }'
  const spread = `
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: DoNotSchedule
          labelSelector: { matchLabels: { app: server } }`
  return `apiVersion: v1
kind: Namespace
metadata:
  name: ${namespace}${label}
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: server, namespace: ${namespace} }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: client, namespace: ${namespace} }
---
apiVersion: v1
kind: Service
metadata: { name: server, namespace: ${namespace} }
spec:
  ipFamilyPolicy: PreferDualStack
  selector: { app: server }
  ports:
    - { name: http, port: 8080 }
    - { name: http2, port: 8081, appProtocol: kubernetes.io/h2c }
    - { name: tcp-echo, port: 9000 }
    - { name: tcp-first, port: 9001 }
    - { name: grpc, port: 9002, appProtocol: kubernetes.io/h2c }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: server, namespace: ${namespace} }
spec:
  replicas: ${options.replicas ?? 2}
  selector: { matchLabels: { app: server } }
  template:
    metadata: { labels: { app: server } }
    spec:
      serviceAccountName: server${options.spread === true ? spread : ''}
      containers:
        - name: server
          image: wishbone/toolbox:0.1.0
          env:
            - { name: POD_NAME, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
          resources: { requests: { cpu: 25m } }
          readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 }
---
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: client, namespace: ${namespace} }
spec:
  selector: { matchLabels: { app: client } }
  template:
    metadata: { labels: { app: client } }
    spec:
      serviceAccountName: client
      containers:
        - name: client
          image: wishbone/toolbox:0.1.0
          command: [node, src/idle.ts]
          resources: { requests: { cpu: 25m } }
`
}

/** A waypoint Gateway for a namespace. */
export function waypointOf(namespace = 'shop', name = 'waypoint'): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  gatewayClassName: wishbone-waypoint
  listeners:
    - { name: mesh, port: 15008, protocol: HBONE }
`
}
