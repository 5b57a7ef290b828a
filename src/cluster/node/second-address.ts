/**
 * The address of IPv6 that a node has beside its own: in a cluster of both families other nodes
 * send packets for its pods there, and pods in its network have it. Called by `node-agent.ts`.
 */
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';

type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/** Of the interface that has this address; undefined where it has only link-local ones. */
export function secondAddressBeside(
  nodeIP: string,
  interfaces: Interfaces = networkInterfaces(),
): string | undefined {
  const own = Object.values(interfaces).find((all) =>
    all?.some(({ address }) => address === nodeIP),
  );
  return own?.find(
    ({ family, internal, address }) => family === 'IPv6' && !internal && !isLinkLocal(address),
  )?.address;
}

/** fe80::/10 */
export function isLinkLocal(address: string): boolean {
  return /^fe[89ab]/i.test(address);
}
