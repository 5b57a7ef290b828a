/**
 * Nodes are drained for upkeep, several at a time: cordoned, their pods of one namespace evicted,
 * as far as a disruption budget lets them, and uncordoned. What it refuses is tried again a few
 * times.
 */
import { ApiError, isReason } from '#api/errors.ts';
import { deployments, nodes as nodeKind, podDisruptionBudgets, pods } from '#resources/kinds.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import type { PodDisruptionBudget } from '#resources/types/policy-v1.ts';
import { missingIn } from '../checkers/convergence.ts';
import { ConnectionLost } from '../faults.ts';
import { type Actor, containersOf, deploymentOf, type User } from './user.ts';

export const budgetsNamespace = 'budgets';
const namespace = budgetsNamespace;
const name = 'guarded';
const evictionsMax = 4;
const steps = [
  'drain',
  'drain',
  'drain',
  'drain',
  'uncordon',
  'uncordon',
  'scale',
  'budget',
] as const;

export class Drains implements Actor {
  readonly #user: User;
  readonly #cordoned = new Set<string>();

  constructor(user: User) {
    this.#user = user;
  }

  async begin(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    await user.createNamespace(namespace, signal);
    const labels = { app: name };
    const containers = containersOf('20m');
    const made = deploymentOf({ name, namespace }, user.between(2, 5), { containers });
    await user.create(deployments, made, signal);
    const budget: PodDisruptionBudget = {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name, namespace },
      spec: { minAvailable: 1, selector: { matchLabels: labels } },
    };
    await user.create(podDisruptionBudgets, budget, signal);
  }

  async step(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const step = user.choose(steps);
    switch (step) {
      case 'drain':
        return this.#drain(signal);
      case 'uncordon':
        return this.settle(signal);
      case 'scale': {
        const spec = { replicas: user.between(2, 5) };
        return user.patch(deployments, { namespace, name }, { spec }, { signal });
      }
      case 'budget': {
        const minAvailable = user.between(1, 3);
        const patch = { spec: { minAvailable } };
        return user.patch(podDisruptionBudgets, { namespace, name }, patch, { signal });
      }
      default:
        step satisfies never;
    }
  }

  async settle(signal: AbortSignal): Promise<void> {
    for (const node of this.#cordoned) await this.#cordon(node, false, signal);
    this.#cordoned.clear();
  }

  missing(): readonly string[] {
    const { truth } = this.#user;
    const problems = [...truth.of<Node>('Node')]
      .filter(({ spec }) => spec?.unschedulable === true)
      .map(({ metadata }) => `node ${metadata.name} is cordoned`);
    return [...problems, ...missingIn(truth, namespace, [name])];
  }

  async #drain(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const bound = [...user.truth.of<Pod>('Pod', namespace)].filter(({ spec }) => spec?.nodeName);
    if (bound.length === 0) return;
    const nodes = new Set<string>();
    for (let count = user.between(1, 3); count > 0; count--) {
      nodes.add(user.choose(bound).spec?.nodeName ?? '');
    }
    for (const node of nodes) {
      this.#cordoned.add(node);
      await this.#cordon(node, true, signal);
    }
    const leaving = bound.filter(({ spec }) => nodes.has(spec?.nodeName ?? ''));
    await Promise.all(leaving.map(({ metadata }) => this.#evict(metadata.name ?? '', signal)));
  }

  async #cordon(node: string, unschedulable: boolean, signal: AbortSignal): Promise<void> {
    await this.#user.patch(nodeKind, { name: node }, { spec: { unschedulable } }, { signal });
  }

  async #evict(pod: string, signal: AbortSignal): Promise<void> {
    const { client, clock } = this.#user;
    const at = { namespace, name: pod };
    const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: at };
    for (let attempt = 0; attempt < evictionsMax; attempt++) {
      this.#user.note(`evict ${pod}`);
      try {
        await client.createSubresource(pods, at, 'eviction', body, { signal });
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (isReason(error, 'NotFound')) return;
        if (!(error instanceof ConnectionLost) && !(error instanceof ApiError)) throw error;
        await clock.sleep(2_000, { signal });
      }
    }
  }
}
