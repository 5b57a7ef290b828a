/**
 * `--node-ip` as upstream's kubelet takes it: one address, or one of each family, the first of
 * them the node's main one. Pure. An unspecified address (`::`) only says of which family the
 * address is to be that is looked for. Read by `config.ts`, `agent-config.ts` and
 * `kubelet-settings.ts`.
 */
import { isIPv6 } from 'node:net';
import { parseAddress } from '#kit/ip-network.ts';
import { ConfigError } from './config-error.ts';

export interface NodeIPs {
  readonly nodeIP: string | undefined;
  readonly secondNodeIP: string | undefined;
}

const unspecified = ['0.0.0.0', '::'];

/** What is no address counts for nothing, as upstream has it. */
export function parseNodeIPs(text: string | undefined): NodeIPs {
  const given = (text ?? '').split(',').map((part) => part.trim());
  const addresses = given.filter((part) => parseAddress(part) !== undefined);
  const [nodeIP, secondNodeIP, ...rest] = addresses;
  const refuse = (why: string): never => {
    throw new ConfigError(`bad --node-ip ${JSON.stringify(text)}: ${why}`);
  };
  if (nodeIP === undefined || secondNodeIP === undefined) return { nodeIP, secondNodeIP };
  if (rest.length > 0 || isIPv6(nodeIP) === isIPv6(secondNodeIP)) {
    refuse('must contain either a single IP or a dual-stack pair of IPs');
  }
  if ([nodeIP, secondNodeIP].some((each) => unspecified.includes(each))) {
    refuse("dual-stack node IP cannot include '0.0.0.0' or '::'");
  }
  return { nodeIP, secondNodeIP };
}

/** Of a node of our own, whose pods are reached by way of its address of IPv4. */
export function parseOwnNodeIPs(text: string | undefined): NodeIPs {
  const ips = parseNodeIPs(text);
  if (ips.secondNodeIP === undefined || !isIPv6(ips.nodeIP ?? '')) return ips;
  throw new ConfigError(`--node-ip ${text}: the address of IPv4 has to be the first`);
}

/** Undefined: one of IPv4 is looked for where none was named. */
export function familyWanted({ nodeIP }: NodeIPs): 'IPv4' | 'IPv6' | undefined {
  if (!unspecified.includes(nodeIP ?? '')) return undefined;
  return nodeIP === '::' ? 'IPv6' : 'IPv4';
}
