/**
 * Routes from this node to the pods of the others: through the address that the Node object of
 * each says it has. That takes a link that both are on; a node that cannot be reached so is left
 * out, and told of in the log.
 *
 * `planNodeRoutes` says which; the node's process (`node-agent.ts`) runs `runNodeRoutes` beside the
 * pod network, which has the routes to its own pods.
 */
import { isIPv4, isIPv6 } from 'node:net';
import type { Informers } from '#client';
import { aborted } from '#kit/aborted.ts';
import type { Family } from '#kit/ip-network.ts';
import type { Logger } from '#kit/log.ts';
import { type NodeRoute, setNodeRoutes } from '#network';
import { nodes as nodeKind } from '#resources/kinds.ts';
import type { Node } from '#resources/types/core-v1.ts';

export interface NodeRoutesPlan {
  readonly routes: readonly NodeRoute[];
  /** Nodes with pods of the family and without an address of it. */
  readonly unreachable: readonly string[];
}

/** The routes of one family, in the order of the nodes' names. Pure. */
export function planNodeRoutes(
  nodes: Iterable<Node>,
  ownName: string,
  family: Family = 'IPv4',
): NodeRoutesPlan {
  const routes: (NodeRoute & { readonly name: string })[] = [];
  const unreachable: string[] = [];
  const isOf = family === 'IPv6' ? isIPv6 : isIPv4;
  for (const { metadata, spec, status } of nodes) {
    const { name = '' } = metadata;
    const ranges = spec?.podCIDRs ?? [spec?.podCIDR ?? ''];
    const podCIDR = ranges.find((range) => isOf(range.split('/')[0] ?? ''));
    if (name === ownName || podCIDR === undefined) continue;
    const nodeIP = status?.addresses?.find(
      ({ type, address }) => type === 'InternalIP' && isOf(address),
    )?.address;
    if (nodeIP !== undefined) routes.push({ name, podCIDR, nodeIP });
    else if (status?.addresses !== undefined) unreachable.push(name);
  }
  routes.sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    routes: routes.map(({ podCIDR, nodeIP }) => ({ podCIDR, nodeIP })),
    unreachable: unreachable.sort(),
  };
}

export async function runNodeRoutes(
  deps: { readonly informers: Informers; readonly log: Logger },
  options: {
    readonly nodeName: string;
    /** Undefined: this node has no pods of the family. */
    readonly podCIDR: Promise<string | undefined>;
    /** Its family is that of the routes. */
    readonly clusterCIDR: string;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { informers, log } = deps;
  const { nodeName, clusterCIDR, signal } = options;
  const nodes = informers.of(nodeKind);
  let wake = Promise.withResolvers<void>();
  const changed = (): void => wake.resolve();
  nodes.addHandler({ onAdd: changed, onUpdate: changed, onDelete: changed });
  signal.addEventListener('abort', changed, { once: true });
  const ownPodCIDR = await Promise.race([options.podCIDR, aborted(signal)]);
  await nodes.synced({ signal });
  const family = clusterCIDR.includes(':') ? 'IPv6' : 'IPv4';
  let present = '[]';
  let told = '';
  while (ownPodCIDR !== undefined && !signal.aborted) {
    wake = Promise.withResolvers<void>();
    const { routes: wanted, unreachable } = planNodeRoutes(nodes.list(), nodeName, family);
    if (unreachable.join() !== told && unreachable.length > 0) {
      log.warn('nodes without an address of a family: their pods are not reached by it', {
        ...{ family, nodes: unreachable },
      });
    }
    told = unreachable.join();
    const text = JSON.stringify(wanted);
    if (text !== present) {
      try {
        await setNodeRoutes(wanted, { ownPodCIDR, clusterCIDR, signal });
        log.info('routes to other nodes', { family, routes: wanted.length });
      } catch (error) {
        signal.throwIfAborted();
        log.warn('not every node can be reached directly', { error });
      }
      present = text;
    }
    await wake.promise;
  }
  signal.throwIfAborted();
}
