#!/bin/bash
# Process 1 of a node, in network, mount, PID and UTS namespaces of its own. Killing it ends every process and mount of
# the node. It makes the standard paths, takes its cable, and keeps containerd, kubelet and kube-proxy running.
# Environment: NODE IP GATEWAY PEERS ("CIDR via IP" lines) DIR (the node's state) BIN IMAGES LOGS STATE POD_CIDR
set -euo pipefail
PATH=$BIN:$PATH
hostname "$NODE"
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
while read -r inside outside; do
  mkdir -p "$DIR/$outside"
  mount --bind "$DIR/$outside" "$inside"
done <<EOF
/var/lib/kubelet kubelet
/var/lib/containerd containerd
/var/lib/cni cni-state
/var/log/pods pods
/var/log/containers containers
/etc/cni/net.d cni
/opt/cni/bin cni-bin
EOF

until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done
ip link set lo up
ip addr add "$IP/24" dev eth0
ip link set eth0 up
ip route add default via "$GATEWAY"
while read -r route; do
  # shellcheck disable=SC2086 # words on purpose
  [ -z "$route" ] || ip route add $route
done <<<"$PEERS"
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0

# Whatever ends is started again, as a system's service manager would.
keep() {
  local name=$1
  shift
  while :; do
    "$@" >>"$LOGS/$name-$NODE.log" 2>&1 </dev/null || true
    echo "$(date -Is) $name ended; it is started again" >>"$LOGS/$name-$NODE.log"
    sleep 1
  done &
}

keep containerd containerd -c "$DIR/containerd.toml"
until ctr version >/dev/null 2>&1; do sleep 0.1; done
for archive in "$IMAGES"/*.tar; do
  [ -f "$archive" ] || continue
  # The mark lies in containerd's own store: it goes when the images go.
  mark=/var/lib/containerd/imported-$(basename "$archive")-$(stat -c %s-%Y "$archive")
  [ -e "$mark" ] && continue
  ctr -n k8s.io images import --all-platforms "$archive" >/dev/null && touch "$mark"
done
keep kubelet kubelet --config="$DIR/kubelet.yaml" --kubeconfig="$STATE/$NODE.kubeconfig" --hostname-override="$NODE" \
  --node-ip="$IP" --cert-dir=/var/lib/kubelet/pki \
  --node-labels="topology.kubernetes.io/region=region1,topology.kubernetes.io/zone=zone-$NODE"
keep kube-proxy kube-proxy --kubeconfig="$STATE/kube-proxy.kubeconfig" --hostname-override="$NODE" \
  --cluster-cidr="$POD_CIDR" --proxy-mode=iptables --metrics-bind-address=127.0.0.1:10249 \
  --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0
# Waiting also reaps what the daemons leave behind.
while :; do wait; sleep 1; done
