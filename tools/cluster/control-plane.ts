// The control plane's programs with their arguments, in the order in which they start; they run beside the nodes, in the
// host's namespaces, and listen on the cluster's bridge or on loopback only.
import { join } from 'node:path'
import { network, paths } from './settings.ts'

const etcdUrl = `https://127.0.0.1:${network.etcdPort}`
// Not reached by anybody: there is one member. Any free port does.
const peerUrl = 'https://127.0.0.1:0'
const pki = (name: string): string => join(paths.pki, name)
const program = (name: string): string => join(paths.bin, name)
const config = (name: string): string => join(paths.state, `${name}.kubeconfig`)

export const etcd: readonly string[] = [
  program('etcd'),
  `--data-dir=${join(paths.state, 'etcd')}`,
  `--listen-client-urls=${etcdUrl}`,
  `--advertise-client-urls=${etcdUrl}`,
  `--listen-peer-urls=${peerUrl}`,
  `--initial-advertise-peer-urls=${peerUrl}`,
  `--initial-cluster=default=${peerUrl}`,
  // Mutual TLS: on loopback, other users and other clusters of this machine are neighbours.
  ...['', 'peer-'].flatMap((prefix) => [
    `--${prefix}client-cert-auth`,
    `--${prefix}trusted-ca-file=${pki('ca.crt')}`,
    `--${prefix}cert-file=${pki('etcd.crt')}`,
    `--${prefix}key-file=${pki('etcd.key')}`,
  ]),
  // A cluster is thrown away with its machine.
  '--unsafe-no-fsync',
]

export const apiServer: readonly string[] = [
  program('kube-apiserver'),
  `--etcd-servers=${etcdUrl}`,
  `--etcd-cafile=${pki('ca.crt')}`,
  `--etcd-certfile=${pki('etcd.crt')}`,
  `--etcd-keyfile=${pki('etcd.key')}`,
  `--bind-address=${network.hostIp}`,
  `--advertise-address=${network.hostIp}`,
  `--secure-port=${network.apiPort}`,
  `--service-cluster-ip-range=${network.services}`,
  '--authorization-mode=Node,RBAC',
  '--enable-admission-plugins=NodeRestriction',
  '--allow-privileged=true',
  `--client-ca-file=${pki('ca.crt')}`,
  `--tls-cert-file=${pki('apiserver.crt')}`,
  `--tls-private-key-file=${pki('apiserver.key')}`,
  `--kubelet-client-certificate=${pki('kubelet-client.crt')}`,
  `--kubelet-client-key=${pki('kubelet-client.key')}`,
  `--kubelet-certificate-authority=${pki('ca.crt')}`,
  '--kubelet-preferred-address-types=InternalIP',
  '--service-account-issuer=https://kubernetes.default.svc',
  `--service-account-key-file=${pki('service-accounts.pub')}`,
  `--service-account-signing-key-file=${pki('service-accounts.key')}`,
]

export const controllerManager: readonly string[] = [
  program('kube-controller-manager'),
  `--kubeconfig=${config('controller-manager')}`,
  '--bind-address=127.0.0.1',
  '--leader-elect=false',
  '--use-service-account-credentials',
  `--service-account-private-key-file=${pki('service-accounts.key')}`,
  `--root-ca-file=${pki('ca.crt')}`,
  // The nodes' ranges are in their CNI chains.
  '--allocate-node-cidrs=false',
  `--service-cluster-ip-range=${network.services}`,
  `--cluster-signing-cert-file=${pki('ca.crt')}`,
  `--cluster-signing-key-file=${pki('ca.key')}`,
]

export const scheduler: readonly string[] = [
  program('kube-scheduler'),
  `--kubeconfig=${config('scheduler')}`,
  '--bind-address=127.0.0.1',
  '--leader-elect=false',
]

export const loadBalancer: readonly string[] = [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  join(import.meta.dirname, 'load-balancer.ts'),
]
