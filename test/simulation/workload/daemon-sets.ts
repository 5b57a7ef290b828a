/**
 * DaemonSets: a pod on every node, rolled one node at a time or with a surge, while nodes die,
 * return, and are removed.
 */
import { daemonSets } from '#resources/kinds.ts';
import type { DaemonSet } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { isPodReady } from '../trace.ts';
import { type Actor, containersOf, type User } from './user.ts';

const namespace = 'daemons';
const setsMax = 2;
const steps = ['create', 'roll', 'roll', 'delete'] as const;

export class DaemonSets implements Actor {
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
      case 'roll': {
        const annotations = { roll: user.random.uuid() };
        const spec = { template: { metadata: { annotations } } };
        await user.patch(daemonSets, at, { spec }, { signal });
        return;
      }
      case 'delete':
        this.#names.splice(this.#names.indexOf(at.name), 1);
        await user.delete(daemonSets, at, { propagationPolicy: 'Background', signal });
        return;
      default:
        step satisfies never;
    }
  }

  missing(): readonly string[] {
    const { truth } = this.#user;
    const problems: string[] = [];
    const nodes = [...truth.of('Node')].map(({ metadata }) => metadata.name ?? '').sort();
    const sets = [...truth.of<DaemonSet>('DaemonSet', namespace)];
    for (const { metadata, status } of sets) {
      const { name = '', uid } = metadata;
      if (!this.#names.includes(name)) problems.push(`daemon set ${name} is not gone`);
      const owned = [...truth.ownedBy<Pod>('Pod', uid)].filter(isPodReady);
      const places = owned.map(({ spec }) => spec?.nodeName ?? '').sort();
      if (places.join() !== nodes.join()) problems.push(`daemon set ${name} is on ${places}`);
      if (status?.updatedNumberScheduled === nodes.length) continue;
      problems.push(`daemon set ${name} is not updated: ${JSON.stringify(status)}`);
    }
    const all = [...truth.of<Pod>('Pod', namespace)].length;
    if (all !== sets.length * nodes.length) problems.push(`there are ${all} daemon pods`);
    return problems;
  }

  async #create(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const name = user.nextName('agent');
    const labels = { app: name };
    const rollingUpdate = user.choose([
      { maxUnavailable: 1 },
      { maxUnavailable: '50%' },
      { maxSurge: 1, maxUnavailable: 0 },
    ]);
    const made: DaemonSet = {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name, namespace },
      spec: {
        selector: { matchLabels: labels },
        updateStrategy: { type: 'RollingUpdate', rollingUpdate },
        template: { metadata: { labels }, spec: { containers: containersOf('20m') } },
      },
    };
    await user.create(daemonSets, made, signal);
    this.#names.push(name);
  }
}
