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
export const gatewayAddress = '169.254.1.1';

/** Of every node's end: each is alone with its pod. */
const gatewayHardware = 'ee:ee:ee:ee:ee:ee';

/** The kernel's limit for the name of an interface. */
const nameLengthMax = 15;

export interface PodLink {
  readonly hostName: string;
  readonly podName: string;
  readonly address: string;
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

/** Makes the pair with the pod's end already inside, and leads the pod's address to it. */
export function nodeMessages(link: PodLink): readonly KernelMessage[] {
  const { hostName, address } = link;
  return [
    createVeth({ ...link, hardware: gatewayHardware }),
    setUp(hostName),
    setRoute({ address }, hostName),
  ];
}

export function podMessages({ podName, address }: PodLink): readonly KernelMessage[] {
  return [
    setUp('lo'),
    addAddress(address, podName),
    setUp(podName),
    setNeighbour(gatewayAddress, gatewayHardware, podName),
    setRoute({ address: gatewayAddress }, podName),
    setRoute({ gateway: gatewayAddress }, podName),
  ];
}

/** Settings of the node's end, below `/proc/sys/net/ipv4`. */
export function nodeLinkSettings(hostName: string): Readonly<Record<string, string>> {
  return {
    // A pod can only send from its own address.
    [`conf/${hostName}/rp_filter`]: '1',
  };
}
