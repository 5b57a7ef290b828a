/**
 * Nodes that fall sick: tainted so that pods leave at once, or those that tolerate it a while
 * later, and that nothing new comes; and that get well again. Everybody finds a place in the end.
 */
import { isReason } from '#api/errors.ts';
import { deployments, nodes as nodeKind } from '#resources/kinds.ts';
import type { Node, Taint } from '#resources/types/core-v1.ts';
import { missingIn } from '../checkers/convergence.ts';
import { type Actor, containersOf, deploymentOf, type User } from './user.ts';

const namespace = 'patients';
const key = 'example.com/sick';
const steps = ['sicken', 'sicken', 'heal', 'scale'] as const;
const tolerances = { hasty: 0, patient: 20, faithful: undefined } as const;
const names = Object.keys(tolerances);

export class Taints implements Actor {
  readonly #user: User;

  constructor(user: User) {
    this.#user = user;
  }

  async begin(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    await user.createNamespace(namespace, signal);
    for (const [name, seconds] of Object.entries(tolerances)) {
      const stays = seconds === undefined ? {} : { tolerationSeconds: seconds };
      const toleration = { key, operator: 'Exists', effect: 'NoExecute', ...stays };
      const tolerations = seconds === 0 ? [] : [toleration];
      const spec = { tolerations, containers: containersOf('10m') };
      await user.create(deployments, deploymentOf({ namespace, name }, 2, spec), signal);
    }
  }

  async step(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const step = user.choose(steps);
    const all = [...user.truth.of<Node>('Node')].map(({ metadata }) => metadata.name ?? '');
    switch (step) {
      case 'sicken': {
        const effect = user.choose(['NoExecute', 'NoExecute', 'NoSchedule']);
        // One node at least takes pods.
        const sick = this.#sick();
        if (sick.length + 1 >= all.length) return;
        return this.#taint(user.choose(all), [{ key, effect }], signal);
      }
      case 'heal':
        return this.#heal(this.#sick().slice(0, 1), signal);
      case 'scale': {
        const at = { namespace, name: user.choose(names) };
        const patch = { spec: { replicas: user.between(0, 4) } };
        return user.patch(deployments, at, patch, { signal });
      }
      default:
        step satisfies never;
    }
  }

  settle(signal: AbortSignal): Promise<void> {
    return this.#heal(this.#sick(), signal);
  }

  missing(): readonly string[] {
    const sick = this.#sick().map((name) => `node ${name} is sick`);
    return [...sick, ...missingIn(this.#user.truth, namespace, names)];
  }

  #sick(): readonly string[] {
    return [...this.#user.truth.of<Node>('Node')]
      .filter(({ spec }) => spec?.taints?.some((taint) => taint.key === key))
      .map(({ metadata }) => metadata.name ?? '');
  }

  async #heal(sick: readonly string[], signal: AbortSignal): Promise<void> {
    for (const name of sick) await this.#taint(name, [], signal);
  }

  /** Others have taints of their own on the node: only this key is touched. */
  async #taint(name: string, own: readonly Taint[], signal: AbortSignal): Promise<void> {
    const { truth, client } = this.#user;
    this.#user.note(`taint ${name} ${JSON.stringify(own)}`);
    await this.#user.insist(signal, async () => {
      const node = truth.find<Node>('Node', name);
      if (node === undefined) return;
      const others = (node.spec?.taints ?? []).filter((taint) => taint.key !== key);
      const { resourceVersion } = node.metadata;
      const patch = { metadata: { resourceVersion }, spec: { taints: [...others, ...own] } };
      try {
        await client.patch(nodeKind, { name }, patch, { type: 'merge', signal });
      } catch (error) {
        if (!isReason(error, 'NotFound')) throw error;
      }
    });
  }
}
