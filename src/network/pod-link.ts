/**
 * What a pod's network interface is made of, as messages to the kernel. Pure.
 *
 * Each pod has one pair of virtual interfaces and no bridge. Inside, everything goes to a gateway
 * that does not exist, 169.254.1.1; the pod is told for good which hardware address it has, that of
 * the node's end. Nobody has to ask or to answer: the kernel would answer in the gateway's place
 * (proxy ARP) only where the node has a default route. Outside, one route says that the pod's
 * address is behind that end. The node is then a plain router, and packets of each pod are known by
 * the interface they come from.
 *
 *     pod  eth0 10.42.0.7/32 ──veth──► cab3de91f20c4 (no address)  node: 10.42.0.7/32 dev cab3…
 *
 * `cni-calls.ts` has both applied: the first on the node, the second inside the pod's namespace.
 */
import { createHash } from 'node:crypto';
import {
  addAddress,
  createVeth,
  type KernelMessage,
  setNeighbour,
  setRoute,
  setUp,
} from './netlink.ts';

/** Link-local, never seen outside the pair. */
const gatewayAddress = '169.254.1.1';

/**
 * The same of IPv6. There both ends know each other's hardware address, so that neither waits until
 * its own link-local address has been found to be free.
 */
const gatewayAddress6 = 'fe80::1';

/** Of every node's end: each is alone with its pod. */
const gatewayHardware = 'ee:ee:ee:ee:ee:ee';

/** The kernel's limit for the name of an interface. */
const nameLengthMax = 15;

export interface PodLink {
  readonly hostName: string;
  readonly podName: string;
  readonly address: string;
  /** Of IPv6, where the cluster has both families. */
  readonly secondAddress?: string | undefined;
  readonly mtu: number;
}

/** `c`, the cluster's id, then as much of a hash as fits. */
export function hostLinkName(options: {
  readonly clusterId: string;
  readonly containerId: string;
}): string {
  const hash = createHash('sha256').update(options.containerId).digest('hex');
  return `${hostLinkPrefix(options.clusterId)}${hash}`.slice(0, nameLengthMax);
}

export function hostLinkPrefix(clusterId: string): string {
  return `c${clusterId}`;
}

/**
 * Names of a cluster's links among those that `ip -j link show type veth` prints. While the kernel
 * has not loaded what veths are, it lists all links, and `ip` prints those of others as `{}`.
 */
export function hostLinksAmong(
  links: readonly { readonly ifname?: string }[],
  clusterId: string,
): readonly string[] {
  const prefix = hostLinkPrefix(clusterId);
  return links
    .map(({ ifname = '' }) => ifname)
    .filter((name) => name.startsWith(prefix) && /^[0-9a-f]+$/.test(name.slice(prefix.length)));
}

/** Makes the pair with the pod's end already inside, and leads the pod's address to it. */
export function nodeMessages(link: PodLink): readonly KernelMessage[] {
  const { hostName, address, secondAddress } = link;
  const podHardware = secondAddress === undefined ? undefined : podHardwareOf(address);
  const messages = [
    createVeth({ ...link, hardware: gatewayHardware, podHardware }),
    setUp(hostName),
    setRoute({ address }, hostName),
  ];
  if (secondAddress === undefined || podHardware === undefined) return messages;
  return [
    ...messages,
    setNeighbour(secondAddress, podHardware, hostName),
    setRoute({ address: secondAddress }, hostName),
  ];
}

/** `10.42.0.7` → `0a:58:0a:2a:00:07`: of those that anybody may give, and one for each pod. */
function podHardwareOf(address: string): string {
  const bytes = [0x0a, 0x58, ...address.split('.').map(Number)];
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

export function podMessages(link: PodLink): readonly KernelMessage[] {
  const { podName, address, secondAddress } = link;
  const second =
    secondAddress === undefined
      ? []
      : [
          addAddress(secondAddress, podName),
          setNeighbour(gatewayAddress6, gatewayHardware, podName),
          setRoute({ gateway: gatewayAddress6 }, podName),
        ];
  return [
    setUp('lo'),
    addAddress(address, podName),
    setUp(podName),
    setNeighbour(gatewayAddress, gatewayHardware, podName),
    setRoute({ address: gatewayAddress }, podName),
    setRoute({ gateway: gatewayAddress }, podName),
    ...second,
  ];
}

/** Settings of the node's end, below `/proc/sys/net/ipv4`. */
export function nodeLinkSettings(hostName: string): Readonly<Record<string, string>> {
  return {
    // A pod can only send from its own address.
    [`conf/${hostName}/rp_filter`]: '1',
  };
}
