/**
 * Selectors that match everything or nothing: a set that takes every pod of its namespace, budgets
 * for all and for none, a DaemonSet for no node, and pods that somebody drops among them.
 */

import { controllerOf } from '#api/object.ts';
import type { LabelSelector } from '#api/selectors.ts';
import { daemonSets, podDisruptionBudgets, pods, replicaSets } from '#resources/kinds.ts';
import type { DaemonSet, ReplicaSet } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { PodDisruptionBudget } from '#resources/types/policy-v1.ts';
import { isActive, isPodReady } from '../states.ts';
import { type Actor, containersOf, type User } from './user.ts';

const namespace = 'selected';
const everything: LabelSelector = {
  matchExpressions: [{ key: 'nobody', operator: 'DoesNotExist' }],
};
const nothing: LabelSelector = {
  matchExpressions: [
    { key: 'nobody', operator: 'Exists' },
    { key: 'nobody', operator: 'DoesNotExist' },
  ],
};
const steps = ['drop', 'drop', 'scale', 'kill', 'widen', 'narrow'] as const;
const at = { namespace, name: 'greedy' } as const;

export class Selectors implements Actor {
  readonly #user: User;

  constructor(user: User) {
    this.#user = user;
  }

  async begin(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    await user.createNamespace(namespace, signal);
    const template = { metadata: { labels: { any: 'thing' } }, spec: this.#podSpec() };
    const spec = { replicas: 3, selector: everything, template };
    const set: ReplicaSet = { apiVersion: 'apps/v1', kind: 'ReplicaSet', metadata: at, spec };
    await user.create(replicaSets, set, signal);
    await this.#createBudget('for-all', {}, signal);
    await this.#createBudget('for-none', nothing, signal);
    const labels = { app: 'nowhere' };
    const nodeSelector = { nowhere: 'at-all' };
    const nowhere: DaemonSet = {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { namespace, name: 'nowhere' },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { nodeSelector, ...this.#podSpec() } },
      },
    };
    await user.create(daemonSets, nowhere, signal);
  }

  async step(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const step = user.choose(steps);
    switch (step) {
      case 'drop': {
        const metadata = { name: user.nextName('dropped'), namespace };
        const spec = this.#podSpec();
        return user.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec }, signal);
      }
      case 'scale': {
        const patch = { spec: { replicas: user.between(0, 6) } };
        return user.patch(replicaSets, at, patch, { signal });
      }
      case 'kill': {
        const [pod] = user.truth.of<Pod>('Pod', namespace);
        if (pod === undefined) return;
        return user.delete(pods, { namespace, name: pod.metadata.name ?? '' }, { signal });
      }
      case 'widen':
      case 'narrow': {
        const selector = step === 'widen' ? { matchExpressions: null } : nothing;
        const patch = { spec: { selector } };
        const budget = { namespace, name: 'for-none' };
        return user.patch(podDisruptionBudgets, budget, patch, { signal });
      }
      default:
        step satisfies never;
    }
  }

  missing(): readonly string[] {
    const { truth } = this.#user;
    const problems: string[] = [];
    const set = truth.find<ReplicaSet>('ReplicaSet', at.name, namespace);
    const wanted = set?.spec?.replicas ?? 0;
    const all = [...truth.of<Pod>('Pod', namespace)].filter(isActive);
    const own = all.filter((pod) => controllerOf(pod)?.uid === set?.metadata.uid);
    if (own.length !== wanted || all.length !== wanted || !all.every(isPodReady)) {
      problems.push(`${own.length} of ${all.length} pods are the greedy set's, of ${wanted}`);
    }
    for (const budget of truth.of<PodDisruptionBudget>('PodDisruptionBudget', namespace)) {
      const { metadata, spec, status } = budget;
      const isForNone = (spec?.selector?.matchExpressions ?? []).length > 0;
      const expected = isForNone ? 0 : wanted;
      if (status?.expectedPods === expected) continue;
      problems.push(`budget ${metadata.name} counts ${status?.expectedPods} of ${expected}`);
    }
    const nowhere = truth.find<DaemonSet>('DaemonSet', 'nowhere', namespace);
    if (nowhere?.status?.desiredNumberScheduled !== 0) problems.push('daemons are wanted nowhere');
    return problems;
  }

  async #createBudget(name: string, selector: LabelSelector, signal: AbortSignal): Promise<void> {
    const budget: PodDisruptionBudget = {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { namespace, name },
      spec: { maxUnavailable: '34%', selector },
    };
    await this.#user.create(podDisruptionBudgets, budget, signal);
  }

  #podSpec() {
    return { containers: containersOf('10m') };
  }
}
