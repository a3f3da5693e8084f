// The programs that the cluster is built from: which Go package, of which pinned module (modules/*/go.mod), with which
// link-time values. Plain data.
import { createHash } from 'node:crypto'
import { kubernetesVersion } from './settings.ts'

export interface Binary {
  readonly name: string
  /** Folder below modules/, whose go.mod pins the versions. */
  readonly module: string
  readonly package: string
  /** Variables set by the linker. */
  readonly values?: Readonly<Record<string, string>>
}

const [, major = '', minor = ''] = /^v(\d+)\.(\d+)\./.exec(kubernetesVersion) ?? []
const version = 'k8s.io/component-base/version'
const kubernetesValues = {
  [`${version}.gitVersion`]: kubernetesVersion,
  [`${version}.gitMajor`]: major,
  [`${version}.gitMinor`]: minor,
  'k8s.io/client-go/pkg/version.gitVersion': kubernetesVersion,
}

const containerd = 'github.com/containerd/containerd/v2'
const echo = 'istio.io/istio/pkg/test/echo/cmd'

export const binaries: readonly Binary[] = [
  ...['kube-apiserver', 'kube-controller-manager', 'kubelet', 'kube-scheduler', 'kube-proxy', 'kubectl'].map(
    (name) => ({
      name,
      module: 'kubernetes',
      package: `k8s.io/kubernetes/cmd/${name}`,
      values: kubernetesValues,
    }),
  ),
  ...['containerd', 'containerd-shim-runc-v2', 'ctr'].map((name) => ({
    name,
    module: 'containerd',
    package: `${containerd}/cmd/${name}`,
  })),
  { name: 'etcd', module: 'etcd', package: 'go.etcd.io/etcd/server/v3' },
  { name: 'coredns', module: 'coredns', package: 'github.com/coredns/coredns' },
  { name: 'pause', module: 'pause', package: '.' },
  // The conformance suite's test servers.
  { name: 'echo-basic', module: 'echo-basic', package: 'sigs.k8s.io/gateway-api-conformance-images/echo-basic' },
  { name: 'echo-client', module: 'echo-advanced', package: `${echo}/client` },
  { name: 'echo-server', module: 'echo-advanced', package: `${echo}/server` },
]

/** What a binary was made from; equal stamps mean that it need not be built again. `pins` is the text of go.mod and go.sum. */
export function stampOf(binary: Binary, pins: string): string {
  return createHash('sha256')
    .update(JSON.stringify([binary, pins, process.arch]))
    .digest('hex')
}
