// The configuration files of one node: containerd, kubelet and the CNI chain. Pure: names and texts.
import { join } from 'node:path'
import { type NodeSettings, network, paths } from './settings.ts'

export const pauseImage = 'wishbone.dev/cluster/pause:1'

const containerd = `version = 3
# Neither is used, and the second one makes folders below /opt of the host.
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt"]
[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  # Without CAP_SYS_RESOURCE, runc cannot give a container a negative out-of-memory score.
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "${pauseImage}"
`

function kubelet(name: string): string {
  const config = {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    failCgroupV1: false,
    cgroupDriver: 'cgroupfs',
    cgroupsPerQOS: false,
    enforceNodeAllocatable: [],
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    authentication: { anonymous: { enabled: false }, x509: { clientCAFile: join(paths.pki, 'ca.crt') } },
    authorization: { mode: 'AlwaysAllow' },
    tlsCertFile: join(paths.pki, `${name}.crt`),
    tlsPrivateKeyFile: join(paths.pki, `${name}.key`),
    clusterDNS: [network.dns],
    clusterDomain: 'cluster.local',
    // No name of the outside world can be resolved, and none is asked for.
    resolvConf: '/dev/null',
    volumePluginDir: '/var/lib/kubelet/volume-plugins',
    failSwapOn: false,
    maxPods: 250,
    // A node that has started again says soon that it is Ready; written only when something changed.
    nodeStatusUpdateFrequency: '2s',
    nodeStatusReportFrequency: '1m',
    serializeImagePulls: false,
    // Images come from archives and cannot be pulled again: never collected.
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    evictionHard: { 'nodefs.available': '1%', 'imagefs.available': '1%' },
  }
  return `${JSON.stringify(config, null, 2)}\n`
}

// Without br_netfilter the "bridge" plugin would break Service addresses between pods of one node; "ptp" routes every pod.
function cniChain(podCidr: string): string {
  const plugin = {
    type: 'ptp',
    ipMasq: false,
    ipam: { type: 'host-local', ranges: [[{ subnet: podCidr }]], routes: [{ dst: '0.0.0.0/0' }] },
  }
  return `${JSON.stringify({ cniVersion: '1.0.0', name: 'pods', plugins: [plugin] }, null, 2)}\n`
}

/** Path below the node's folder and content. */
export function nodeFiles(node: NodeSettings): readonly (readonly [string, string])[] {
  return [
    ['containerd.toml', containerd],
    ['kubelet.yaml', kubelet(node.name)],
    ['cni/10-pods.conflist', cniChain(node.podCidr)],
  ]
}
