/**
 * StatefulSets: ordered and parallel, scaled, rolled with and without a partition, and their pods
 * deleted one by one, while nodes die under them.
 */
import { pods, statefulSets } from '#resources/kinds.ts';
import type { StatefulSet } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { isPodReady } from '../trace.ts';
import { type Actor, containersOf, type User } from './user.ts';

export const statefulNamespace = 'stateful';
const namespace = statefulNamespace;
const setsMax = 2;
const steps = ['create', 'scale', 'scale', 'roll', 'kill', 'kill', 'delete'] as const;

export class StatefulSets implements Actor {
  readonly #user: User;
  readonly #names: string[] = [];

  constructor(user: User) {
    this.#user = user;
  }

  async begin(signal: AbortSignal): Promise<void> {
    await this.#user.createNamespace(namespace, signal);
    await this.#create(signal);
  }

  async step(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const step = user.choose(steps);
    if (step === 'create' || this.#names.length === 0) {
      if (this.#names.length < setsMax) await this.#create(signal);
      return;
    }
    const at = { namespace, name: user.choose(this.#names) };
    switch (step) {
      case 'scale':
        await user.patch(statefulSets, at, { spec: { replicas: user.between(0, 4) } }, { signal });
        return;
      case 'roll': {
        const annotations = { roll: user.random.uuid() };
        const spec = { template: { metadata: { annotations } } };
        await user.patch(statefulSets, at, { spec }, { signal });
        return;
      }
      case 'kill': {
        const name = `${at.name}-${user.random.integer(3)}`;
        await user.delete(pods, { namespace, name }, { signal });
        return;
      }
      case 'delete':
        this.#names.splice(this.#names.indexOf(at.name), 1);
        await user.delete(statefulSets, at, { propagationPolicy: 'Background', signal });
        return;
      default:
        step satisfies never;
    }
  }

  missing(): readonly string[] {
    const { truth } = this.#user;
    const problems: string[] = [];
    let wanted = 0;
    for (const { metadata, spec, status } of truth.of<StatefulSet>('StatefulSet', namespace)) {
      const { name = '', generation } = metadata;
      const { replicas = 1 } = spec ?? {};
      wanted += replicas;
      if (!this.#names.includes(name)) problems.push(`stateful set ${name} is not gone`);
      const { observedGeneration, readyReplicas = 0, updatedReplicas = 0 } = status ?? {};
      const counts = [observedGeneration, readyReplicas, updatedReplicas].join();
      if (counts === [generation, replicas, replicas].join()) continue;
      problems.push(`stateful set ${name} wants ${replicas}: ${JSON.stringify(status)}`);
    }
    const all = [...truth.of<Pod>('Pod', namespace)];
    if (all.length !== wanted) problems.push(`${all.length} stateful pods of ${wanted}`);
    for (const pod of all) {
      if (!isPodReady(pod)) problems.push(`pod ${pod.metadata.name} is not ready`);
    }
    return problems;
  }

  async #create(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const name = user.nextName('db');
    const labels = { app: name };
    const made: StatefulSet = {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name, namespace },
      spec: {
        replicas: user.between(1, 4),
        serviceName: name,
        selector: { matchLabels: labels },
        podManagementPolicy: user.choose(['OrderedReady', 'OrderedReady', 'Parallel']),
        template: { metadata: { labels }, spec: { containers: containersOf('20m') } },
      },
    };
    await user.create(statefulSets, made, signal);
    this.#names.push(name);
  }
}
