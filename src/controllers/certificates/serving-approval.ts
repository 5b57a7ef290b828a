/**
 * Approves the certificates that nodes serve with: a node's own, for names and addresses that its
 * Node object says it has, and for nothing else. Upstream leaves this to people, because a node
 * says its own addresses; a cluster whose API server verifies nodes cannot wait for people. Opened
 * by `certificates.ts` where the cluster wants it.
 *
 * A request comes before the node's first status often, so news of nodes looks at it again.
 */
import type { ParsedRequest } from '#kit/certificate-request.ts';
import { addressBytes } from '#kit/ip-network.ts';
import type { CertificateSigningRequest } from '#resources/types/certificates-v1.ts';
import type { Node } from '#resources/types/core-v1.ts';
import { planSigning, signers } from './plan.ts';

const userPrefix = 'system:node:';

/** The node that asks for a certificate of its own; undefined: it is another sort of request. */
export function servingNode({ spec }: CertificateSigningRequest): string | undefined {
  const { signerName, username = '', groups = [] } = spec;
  if (signerName !== signers.kubeletServing || !username.startsWith(userPrefix)) return undefined;
  return groups.includes('system:nodes') ? username.slice(userPrefix.length) : undefined;
}

/** Whether all that is asked for is the node's own. Pure. */
export function mayServe(
  csr: CertificateSigningRequest,
  request: ParsedRequest,
  node: Node,
): boolean {
  if (planSigning(csr, request).do !== 'sign') return false;
  if (request.commonName !== csr.spec.username) return false;
  const { addresses = [] } = node.status ?? {};
  const of = (...types: readonly string[]): readonly string[] =>
    addresses.filter(({ type }) => types.includes(type)).map(({ address }) => address);
  const names = new Set(of('Hostname', 'InternalDNS', 'ExternalDNS'));
  const bytes = (address: string): string => Buffer.from(addressBytes(address)).toString('hex');
  const ips = new Set(of('InternalIP', 'ExternalIP').map(bytes));
  return (
    request.dnsNames.every((name) => names.has(name)) &&
    request.ipAddresses.every((address) => ips.has(address))
  );
}
