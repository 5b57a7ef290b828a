/**
 * Once faults have stopped and everything is back, the cluster reaches what was wished: every
 * Deployment has exactly its replicas, all of the newest template, ready, on nodes that are ready;
 * and no pod is left over from what was deleted. Asked at moments, not at every event.
 */
import { controllerOf, type KubeObject } from '#api/object.ts';
import type { Deployment, ReplicaSet } from '#resources/types/apps-v1.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import { hasEnded, isNodeReady, isPodReady } from '../states.ts';
import type { Truth } from '../truth.ts';

/** The same of all Deployments in a namespace. */
export function missingIn(
  truth: Truth,
  namespace: string,
  wanted: readonly string[],
): readonly string[] {
  const kinds = ['Deployment', 'ReplicaSet', 'Pod'] as const;
  const objects = kinds.flatMap((kind) => [...truth.of(kind, namespace)]);
  return missing([...truth.of('Node'), ...objects], wanted);
}

/** What is still missing; empty when the cluster has converged. */
export function missing(
  objects: readonly KubeObject[],
  wanted: readonly string[],
): readonly string[] {
  const of = <T extends KubeObject>(kind: string): readonly T[] =>
    // The kind says the type of what the store holds.
    objects.filter((object): object is T => object.kind === kind);
  const nodes = new Map(of<Node>('Node').map((node) => [node.metadata.name ?? '', node]));
  const deployments = of<Deployment>('Deployment');
  const replicaSets = new Map(of<ReplicaSet>('ReplicaSet').map((set) => [set.metadata.uid, set]));
  const pods = of<Pod>('Pod');
  const problems: string[] = [];
  for (const node of nodes.values()) {
    if (!isNodeReady(node)) problems.push(`node ${node.metadata.name} is not ready`);
  }
  const names = deployments.map(({ metadata }) => metadata.name ?? '').sort();
  const expected = [...wanted].sort();
  if (names.join() !== expected.join()) problems.push(`deployments are ${names}, not ${expected}`);
  for (const deployment of deployments) problems.push(...missingOf(deployment));
  const ownerOf = (object: KubeObject): string | undefined => controllerOf(object)?.uid;
  const counts = new Map<string, number>();
  for (const pod of pods) {
    const { name } = pod.metadata;
    // One that has ended is history: others have taken its place.
    if (hasEnded(pod)) continue;
    const deployment = ownerOf(replicaSets.get(ownerOf(pod) ?? '') ?? pod);
    counts.set(deployment ?? '', (counts.get(deployment ?? '') ?? 0) + 1);
    if (!isPodReady(pod)) problems.push(`pod ${name} is not ready`);
    if (!nodes.has(pod.spec?.nodeName ?? '')) problems.push(`pod ${name} has no node`);
    if (pod.metadata.deletionTimestamp !== undefined) problems.push(`pod ${name} is terminating`);
  }
  for (const { metadata, spec } of deployments) {
    const count = counts.get(metadata.uid ?? '') ?? 0;
    counts.delete(metadata.uid ?? '');
    if (count !== spec?.replicas) problems.push(`${metadata.name} has ${count} pods`);
  }
  for (const owner of counts.keys()) problems.push(`pods are left of ${owner || 'nobody'}`);
  return problems;
}

function missingOf({ metadata, spec, status }: Deployment): readonly string[] {
  const wants = spec?.replicas ?? 1;
  const { replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status ?? {};
  const problems: string[] = [];
  if (status?.observedGeneration !== metadata.generation) problems.push('is not observed');
  if (replicas !== wants) problems.push(`counts ${replicas} of ${wants} replicas`);
  if (updatedReplicas !== wants) problems.push(`counts ${updatedReplicas} updated of ${wants}`);
  if (availableReplicas !== wants)
    problems.push(`counts ${availableReplicas} available of ${wants}`);
  return problems.map((problem) => `deployment ${metadata.name} ${problem}`);
}
