/**
 * Routes from this node to the pods of the others: through the address that the Node object of
 * each says it has. That takes a link that both are on; a node that cannot be reached so is left
 * out, and told of in the log.
 *
 * `planNodeRoutes` says which; the node's process (`node-agent.ts`) runs `runNodeRoutes` beside the
 * pod network, which has the routes to its own pods.
 */
import { isIPv4 } from 'node:net';
import type { Informers } from '#client';
import { aborted } from '#kit/aborted.ts';
import type { Logger } from '#kit/log.ts';
import { type NodeRoute, setNodeRoutes } from '#network';
import { nodes as nodeKind } from '#resources/kinds.ts';
import type { Node } from '#resources/types/core-v1.ts';

/** In the order of the nodes' names. Pure. */
export function planNodeRoutes(nodes: Iterable<Node>, ownName: string): readonly NodeRoute[] {
  const routes: (NodeRoute & { readonly name: string })[] = [];
  for (const { metadata, spec, status } of nodes) {
    const { name = '' } = metadata;
    const podCIDR = spec?.podCIDR ?? '';
    const nodeIP = status?.addresses?.find(
      ({ type, address }) => type === 'InternalIP' && isIPv4(address),
    )?.address;
    if (name === ownName || podCIDR === '' || podCIDR.includes(':') || nodeIP === undefined)
      continue;
    routes.push({ name, podCIDR, nodeIP });
  }
  routes.sort((a, b) => (a.name < b.name ? -1 : 1));
  return routes.map(({ podCIDR, nodeIP }) => ({ podCIDR, nodeIP }));
}

export async function runNodeRoutes(
  deps: { readonly informers: Informers; readonly log: Logger },
  options: {
    readonly nodeName: string;
    readonly podCIDR: Promise<string>;
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
  let present = '[]';
  while (ownPodCIDR !== undefined && !signal.aborted) {
    wake = Promise.withResolvers<void>();
    const wanted = planNodeRoutes(nodes.list(), nodeName);
    const text = JSON.stringify(wanted);
    if (text !== present) {
      try {
        await setNodeRoutes(wanted, { ownPodCIDR, clusterCIDR, signal });
        log.info('routes to other nodes', { routes: wanted.length });
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
