/**
 * What the node itself needs to be a router for its pods: kernel settings, one small nftables
 * table, and routes. Text and plans are pure; `network.ts` applies them.
 *
 * The table does three things. Packets of pods that leave the cluster get the node's address,
 * because nobody out there knows a way back to a pod. Since node ports are reachable through
 * 127.0.0.1, which takes the kernel's `route_localnet`, packets from elsewhere with a loopback
 * address as their destination are dropped before anything else looks at them. And what comes to a
 * port of the node that a pod has asked for goes to that pod (`host-ports.ts` fills the maps); the
 * pod could not answer itself, nor 127.0.0.1, so those packets get the node's address.
 */
import { hostLinkPrefix } from './pod-link.ts';

export interface NodeNetwork {
  readonly clusterId: string;
  /** Addresses of this node's pods. */
  readonly podCIDR: string;
  /** Addresses of all pods. */
  readonly clusterCIDR: string;
}

/** Routes that we made: `ip route show proto 73`. */
export const routeProtocol = 73;

export function podTableName(clusterId: string): string {
  return `coracle-${clusterId}-pods`;
}

/** Below `/proc/sys/net/ipv4`. */
export const nodeSettings: Readonly<Record<string, string>> = {
  ip_forward: '1',
  'conf/all/route_localnet': '1',
};

/** Below `/proc/sys/net/ipv6`, where pods have addresses of both families. */
export const nodeSettings6: Readonly<Record<string, string>> = { 'conf/all/forwarding': '1' };

/** For `nft -f`: replaces the table in one transaction, wherever it was. */
export function formatPodTable({ clusterId, podCIDR, clusterCIDR }: NodeNetwork): string {
  const name = podTableName(clusterId);
  return `table ip ${name}
delete table ip ${name}
table ip ${name} {
  map host-ports {
    type inet_proto . inet_service : ipv4_addr . inet_service
  }
  map host-ports-of {
    type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
  }
  set own-ports {
    type ipv4_addr . ipv4_addr
  }
  chain to-pods {
    dnat ip to ip daddr . meta l4proto . th dport map @host-ports-of
    dnat ip to meta l4proto . th dport map @host-ports
  }
  chain from-outside {
    type nat hook prerouting priority -110; policy accept;
    fib daddr type local jump to-pods
  }
  chain from-here {
    type nat hook output priority -110; policy accept;
    fib daddr type local jump to-pods
  }
  chain leaving {
    type nat hook postrouting priority srcnat; policy accept;
    ct status dnat ip saddr 127.0.0.0/8 ip daddr ${podCIDR} masquerade fully-random
    ct status dnat ip saddr . ip daddr @own-ports masquerade fully-random
    ip saddr ${podCIDR} ip daddr != ${clusterCIDR} masquerade fully-random
  }
  chain arriving {
    type filter hook prerouting priority raw; policy accept;
    iifname != "lo" ip daddr 127.0.0.0/8 drop
  }
}
`;
}

/**
 * The same for IPv6. `::1` is never translated: the kernel lets no packet of that source leave. And
 * since nothing there checks sources by itself, the table does: a pod's packets have its own.
 */
export function formatPodTable6({ clusterId, podCIDR, clusterCIDR }: NodeNetwork): string {
  const name = podTableName(clusterId);
  const inside = `${clusterCIDR}, fe80::/10, ff00::/8`;
  return `table ip6 ${name}
delete table ip6 ${name}
table ip6 ${name} {
  map host-ports {
    type inet_proto . inet_service : ipv6_addr . inet_service
  }
  map host-ports-of {
    type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service
  }
  set own-ports {
    type ipv6_addr . ipv6_addr
  }
  chain to-pods {
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @host-ports-of
    dnat ip6 to meta l4proto . th dport map @host-ports
  }
  chain from-outside {
    type nat hook prerouting priority -110; policy accept;
    fib daddr type local jump to-pods
  }
  chain from-here {
    type nat hook output priority -110; policy accept;
    ip6 daddr != ::1 fib daddr type local jump to-pods
  }
  chain leaving {
    type nat hook postrouting priority srcnat; policy accept;
    ct status dnat ip6 saddr . ip6 daddr @own-ports masquerade fully-random
    ip6 saddr ${podCIDR} ip6 daddr != { ${inside} } masquerade fully-random
  }
  chain arriving {
    type filter hook prerouting priority raw; policy accept;
    iifname "${hostLinkPrefix(clusterId)}*" ip6 saddr != fe80::/10 fib saddr . iif oif missing drop
  }
}
`;
}

/** The range of a node's pods and where to send packets for it. */
export interface NodeRoute {
  readonly podCIDR: string;
  readonly nodeIP: string;
}

/**
 * Lines for `ip -batch` that turn the routes there are into those wanted. Packets for a pod address
 * of this node that nobody has are refused here, not sent out through the default route.
 */
export function planRoutes(options: {
  readonly ownPodCIDR: string;
  readonly wanted: readonly NodeRoute[];
  readonly present: readonly PresentRoute[];
}): readonly string[] {
  const lines: string[] = [];
  const keep = new Set<string>([options.ownPodCIDR]);
  const own = options.present.find((route) => route.dst === options.ownPodCIDR);
  if (own?.type !== 'unreachable') {
    lines.push(`route replace unreachable ${options.ownPodCIDR} proto ${routeProtocol}`);
  }
  for (const { podCIDR, nodeIP } of options.wanted) {
    if (podCIDR === options.ownPodCIDR) continue;
    keep.add(podCIDR);
    const there = options.present.find((route) => route.dst === podCIDR);
    if (there?.gateway === nodeIP) continue;
    lines.push(`route replace ${podCIDR} via ${nodeIP} proto ${routeProtocol}`);
  }
  for (const { dst, type } of options.present) {
    if (keep.has(dst)) continue;
    lines.push(`route del ${type === undefined ? '' : `${type} `}${dst} proto ${routeProtocol}`);
  }
  return lines;
}

/** As `ip -j route` prints it. */
export interface PresentRoute {
  readonly dst: string;
  readonly type?: string;
  readonly gateway?: string;
}
