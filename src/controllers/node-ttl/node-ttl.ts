/**
 * Tells kubelets how long they may keep Secrets and ConfigMaps without asking again: the more nodes
 * there are, the longer (`node.alpha.kubernetes.io/ttl`, in seconds).
 *
 * The steps overlap, so that a node more or less does not rewrite them all: from 101 nodes on 15 s,
 * back to 0 only below 90.
 */
import { WorkQueue } from '#kit/work-queue.ts';
import { nodes as nodeKind } from '#resources/kinds.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { type NodePatches, nodeWorkers } from '../node-patches.ts';

const annotation = 'node.alpha.kubernetes.io/ttl';

const steps = [
  { nodesMin: 0, nodesMax: 100, seconds: 0 },
  { nodesMin: 90, nodesMax: 500, seconds: 15 },
  { nodesMin: 450, nodesMax: 1000, seconds: 30 },
  { nodesMin: 900, nodesMax: 2000, seconds: 60 },
  { nodesMin: 1800, nodesMax: Number.POSITIVE_INFINITY, seconds: 300 },
] as const;

/** The step for so many nodes, coming from another; and how long nodes may keep things there. */
function planTTL(step: number, nodes: number): { readonly step: number; readonly seconds: number } {
  let next = step;
  while (nodes > (steps[next]?.nodesMax ?? Number.POSITIVE_INFINITY)) next += 1;
  while (nodes < (steps[next]?.nodesMin ?? 0)) next -= 1;
  return { step: next, seconds: steps[next]?.seconds ?? 0 };
}

export function openNodeTTLController(
  deps: ControllerDeps & { readonly nodePatches: NodePatches },
): Controller {
  const { nodePatches, informers } = deps;
  const queue = new WorkQueue(deps);
  const nodes = informers.of(nodeKind);
  let count = 0;
  let current = planTTL(0, 0);
  const recount = (change: number): void => {
    count += change;
    const before = current.seconds;
    current = planTTL(current.step, count);
    if (current.seconds === before) return;
    for (const { metadata } of nodes.list()) queue.add(metadata.name ?? '');
  };
  nodes.addHandler({
    onAdd: ({ metadata }) => {
      recount(1);
      queue.add(metadata.name ?? '');
    },
    onUpdate: ({ metadata }) => {
      if (metadata.annotations?.[annotation] !== String(current.seconds)) {
        queue.add(metadata.name ?? '');
      }
    },
    onDelete: () => recount(-1),
  });
  return {
    name: 'ttl-controller',
    queue,
    workers: nodeWorkers,
    sources: [nodes],
    reconcile: async (name, { signal }) => {
      const node = nodes.get(name);
      const value = String(current.seconds);
      if (node === undefined || node.metadata.annotations?.[annotation] === value) return;
      const patch = { metadata: { annotations: { [annotation]: value } } };
      await nodePatches.patch(name, patch, { signal }).catch(ignoreNotFound);
    },
  };
}
