/**
 * A namespace with a quota that is smaller than what is wished in it, and that is widened and
 * narrowed, also below what is used: there are as many pods as it allows, and never more. Now and
 * then many ask at once for what is left, so that they are judged together, while what was just
 * charged is being stored and counted. Whoever is held back in the end has to say by what.
 */
import { ApiError } from '#api/errors.ts';
import { controllerOf } from '#api/object.ts';
import { pods, replicaSets, resourceQuotas } from '#resources/kinds.ts';
import type { ReplicaSet } from '#resources/types/apps-v1.ts';
import type { Pod, ResourceQuota } from '#resources/types/core-v1.ts';
import { ConnectionLost } from '../faults.ts';
import { hasEnded } from '../states.ts';
import { type Actor, containersOf, replicaSetOf, type User } from './user.ts';

export const quotaNamespace = 'quota';
const namespace = quotaNamespace;
const steps = ['narrow', 'widen', 'scale', 'scale', 'kill', 'kill', 'burst', 'burst'] as const;
/** Pods that nobody controls, at most; beside all that the sets may want they have room at last. */
const looseMax = 8;

export class Quotas implements Actor {
  readonly #user: User;
  #names: readonly string[] = [];

  constructor(user: User) {
    this.#user = user;
  }

  async begin(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    await user.createNamespace(namespace, signal);
    const metadata = { name: 'limit', namespace };
    const hard = { pods: '4', 'requests.cpu': '1' };
    const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata, spec: { hard } };
    await user.create(resourceQuotas, quota, signal);
    for (const stem of ['first', 'second']) await this.#createSet(user.nextName(stem), signal);
  }

  async step(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const step = user.choose(steps);
    switch (step) {
      case 'narrow':
        return this.#allow(user.between(1, 3), signal);
      case 'widen':
        return this.#allow(user.between(4, 7), signal);
      case 'scale': {
        const at = { namespace, name: user.choose(this.#names) };
        await user.patch(replicaSets, at, { spec: { replicas: user.between(0, 6) } }, { signal });
        return;
      }
      case 'kill': {
        const all = [...user.truth.of<Pod>('Pod', namespace)];
        if (all.length === 0) return;
        const { name = '' } = user.choose(all).metadata;
        await user.delete(pods, { namespace, name }, { signal });
        return;
      }
      case 'burst':
        return this.#burst(signal);
      default:
        step satisfies never;
    }
  }

  /** In the end everything has room, or it stays narrow. */
  settle(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    return this.#allow(user.choose([20, user.between(1, 3)]), signal);
  }

  missing(): readonly string[] {
    const { truth } = this.#user;
    const problems: string[] = [];
    const quota = truth.find<ResourceQuota>('ResourceQuota', 'limit', namespace);
    const hard = Number(quota?.spec?.hard?.['pods'] ?? 0);
    let wanted = 0;
    for (const set of truth.of<ReplicaSet>('ReplicaSet', namespace)) {
      wanted += set.spec?.replicas ?? 0;
      if (isUntold(set)) problems.push(`${set.metadata.name} does not say what holds it back`);
    }
    const active = [...truth.of<Pod>('Pod', namespace)].filter((pod) => !hasEnded(pod)).length;
    wanted += this.#loose().length;
    const least = Math.min(wanted, hard);
    // Those that were there before it was narrowed stay.
    if (active < least || active > wanted) {
      problems.push(`${active} pods under a quota of ${hard}; ${wanted} are wanted`);
    }
    const used = quota?.status?.used?.['pods'];
    if (used !== String(active)) problems.push(`the quota says ${used} of ${active} pods`);
    return problems;
  }

  #loose(): readonly Pod[] {
    const all = [...this.#user.truth.of<Pod>('Pod', namespace)];
    return all.filter((pod) => !hasEnded(pod) && controllerOf(pod) === undefined);
  }

  /** Each asks once, all within a moment; what is refused is not asked for again. */
  async #burst(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const left = looseMax - this.#loose().length;
    const names = Array.from({ length: left }, () => user.nextName('loose'));
    const apartMs = user.choose([0, 0, 30]);
    user.note(`burst of ${left} pods`);
    const ask = async (name: string, afterMs: number): Promise<void> => {
      if (afterMs > 0) await user.clock.sleep(afterMs, { signal });
      const metadata = { name, namespace };
      const spec = { containers: containersOf('20m') };
      try {
        await user.client.create(
          pods,
          { apiVersion: 'v1', kind: 'Pod', metadata, spec },
          { signal },
        );
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof ConnectionLost) && !(error instanceof ApiError)) throw error;
      }
    };
    await Promise.all(names.map((name, index) => ask(name, index * apartMs)));
  }

  async #allow(count: number, signal: AbortSignal): Promise<void> {
    const patch = { spec: { hard: { pods: String(count) } } };
    await this.#user.patch(resourceQuotas, { namespace, name: 'limit' }, patch, { signal });
  }

  async #createSet(name: string, signal: AbortSignal): Promise<void> {
    const labels = { app: name };
    const template = { metadata: { labels }, spec: { containers: containersOf('20m') } };
    const made = replicaSetOf({ name, namespace }, { replicas: 3, labels, template });
    await this.#user.create(replicaSets, made, signal);
    this.#names = [...this.#names, name];
  }
}

/** It has fewer pods than it wants, and its status does not name the quota. */
function isUntold({ spec, status }: ReplicaSet): boolean {
  if ((status?.replicas ?? 0) >= (spec?.replicas ?? 0)) return false;
  const failure = status?.conditions?.find(({ type }) => type === 'ReplicaFailure');
  return failure?.status !== 'True' || !failure.message?.includes('exceeded quota: limit,');
}
