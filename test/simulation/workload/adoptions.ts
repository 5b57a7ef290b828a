/**
 * Pods that belong to nobody, and several ReplicaSets that select them: each pod is adopted once.
 * Sets are deleted with their pods left behind, which the other ones then take over; labels are
 * changed, so that pods are let go.
 */
import { pods, replicaSets } from '#resources/kinds.ts';
import type { ReplicaSet } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { hasEnded } from '../states.ts';
import { type Actor, containersOf, replicaSetOf, type User } from './user.ts';

const namespace = 'orphans';
const labels = { app: 'orphan' } as const;
const setsMax = 3;
const steps = ['pod', 'pod', 'set', 'abandon', 'abandon', 'relabel'] as const;

export class Adoptions implements Actor {
  readonly #user: User;
  readonly #sets: string[] = [];

  constructor(user: User) {
    this.#user = user;
  }

  async begin(signal: AbortSignal): Promise<void> {
    await this.#user.createNamespace(namespace, signal);
    await this.#createPod(signal);
    await this.#createPod(signal);
    await this.#createSet(signal);
    await this.#createSet(signal);
  }

  async step(signal: AbortSignal): Promise<void> {
    const step = this.#user.choose(steps);
    switch (step) {
      case 'pod':
        return this.#createPod(signal);
      case 'set':
        if (this.#sets.length < setsMax) await this.#createSet(signal);
        return;
      case 'abandon':
        return this.#abandon(signal);
      case 'relabel':
        return this.#relabel(signal);
      default:
        step satisfies never;
    }
  }

  missing(): readonly string[] {
    const { truth } = this.#user;
    const problems: string[] = [];
    const sets = [...truth.of<ReplicaSet>('ReplicaSet', namespace)];
    const names = sets.map(({ metadata }) => metadata.name ?? '');
    if (names.sort().join() !== [...this.#sets].sort().join()) problems.push(`sets are ${names}`);
    for (const { metadata, spec } of sets) {
      // One that failed with its node is kept where the node came back before it was collected.
      const owned = [...truth.ownedBy<Pod>('Pod', metadata.uid)].filter((pod) => !hasEnded(pod));
      if (owned.length === spec?.replicas) continue;
      problems.push(`set ${metadata.name} has ${owned.length} of ${spec?.replicas} pods`);
    }
    if (sets.length === 0) return problems;
    for (const pod of truth.of<Pod>('Pod', namespace)) {
      const { metadata } = pod;
      const isOrphan =
        metadata.ownerReferences === undefined && metadata.labels?.['app'] === 'orphan';
      if (isOrphan && !hasEnded(pod)) problems.push(`pod ${metadata.name} belongs to nobody`);
    }
    return problems;
  }

  async #createPod(signal: AbortSignal): Promise<void> {
    const metadata = { name: this.#user.nextName('orphan'), namespace, labels };
    const spec = { containers: containersOf('20m') };
    await this.#user.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec }, signal);
  }

  async #createSet(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const name = user.nextName('set');
    const template = { metadata: { labels }, spec: { containers: containersOf('20m') } };
    const replicas = user.between(1, 3);
    const made = replicaSetOf({ name, namespace }, { replicas, labels, template });
    await user.create(replicaSets, made, signal);
    this.#sets.push(name);
  }

  async #abandon(signal: AbortSignal): Promise<void> {
    if (this.#sets.length < 2) return;
    const user = this.#user;
    const name = user.choose(this.#sets);
    this.#sets.splice(this.#sets.indexOf(name), 1);
    const propagationPolicy = user.choose(['Orphan', 'Orphan', 'Background'] as const);
    await user.delete(replicaSets, { namespace, name }, { propagationPolicy, signal });
  }

  async #relabel(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const all = [...user.truth.of<Pod>('Pod', namespace)];
    if (all.length === 0) return;
    const { name = '' } = user.choose(all).metadata;
    const patch = { metadata: { labels: { app: 'let-go' } } };
    await user.patch(pods, { namespace, name }, patch, { signal });
  }
}
