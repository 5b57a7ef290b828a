/**
 * DaemonSets: a pod on every node that suits, rolled one node at a time, with a surge or only where
 * pods are deleted, and back to templates of before, while nodes die, return, and are removed.
 */
import { daemonSets, pods } from '#resources/kinds.ts';
import type { DaemonSet } from '#resources/types/apps-v1.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import { isPodReady } from '../states.ts';
import { Made, type Named } from './made.ts';
import { type Actor, containersOf, type User } from './user.ts';

const namespace = 'daemons';
const steps = ['create', 'roll', 'roll', 'roll', 'kill', 'delete'] as const;
/** Every node has the label of its name: some sets are for these alone. */
const few = { key: 'kubernetes.io/hostname', operator: 'In', values: ['node-1', 'node-2'] };

export class DaemonSets implements Actor {
  readonly #user: User;
  readonly #sets: Made<DaemonSet>;

  constructor(user: User) {
    this.#user = user;
    const make = (metadata: Named): DaemonSet => newSet(metadata, user);
    this.#sets = new Made(user, { kind: daemonSets, namespace, most: 2, stem: 'agent', make });
  }

  begin(signal: AbortSignal): Promise<void> {
    return this.#sets.begin(signal);
  }

  async step(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const step = user.choose(steps);
    const name = this.#sets.any();
    if (step === 'create' || name === undefined) return this.#sets.create(signal);
    switch (step) {
      case 'roll':
        return this.#sets.roll(name, signal);
      case 'kill': {
        const [pod] = user.truth.of<Pod>('Pod', namespace);
        if (pod === undefined) return;
        return user.delete(pods, { namespace, name: pod.metadata.name ?? '' }, { signal });
      }
      case 'delete':
        return this.#sets.delete(name, signal);
      default:
        step satisfies never;
    }
  }

  missing(): readonly string[] {
    const { truth } = this.#user;
    const problems = [...this.#sets.missing()];
    let wanted = 0;
    for (const set of truth.of<DaemonSet>('DaemonSet', namespace)) {
      const { metadata, spec, status } = set;
      const nodes = [...truth.of<Node>('Node')].map((node) => node.metadata.name ?? '');
      const suited = nodes.filter((name) => !isForFew(set) || few.values.includes(name)).sort();
      wanted += suited.length;
      const owned = [...truth.ownedBy<Pod>('Pod', metadata.uid)].filter(isPodReady);
      const places = owned.map((pod) => pod.spec?.nodeName ?? '').sort();
      if (places.join() !== suited.join()) {
        problems.push(`daemon set ${metadata.name} is on ${places}`);
      }
      const isRolled = spec?.updateStrategy?.type !== 'OnDelete';
      const { updatedNumberScheduled = 0, numberAvailable = 0 } = status ?? {};
      const counts = [numberAvailable, isRolled ? updatedNumberScheduled : suited.length];
      if (counts.every((count) => count === suited.length)) continue;
      problems.push(`daemon set ${metadata.name} is not updated: ${JSON.stringify(status)}`);
    }
    const all = [...truth.of<Pod>('Pod', namespace)].length;
    if (all !== wanted) problems.push(`there are ${all} daemon pods of ${wanted}`);
    return problems;
  }
}

function isForFew({ spec }: DaemonSet): boolean {
  return spec?.template?.spec?.affinity !== undefined;
}

function newSet(metadata: Named, user: User): DaemonSet {
  const labels = { app: metadata.name };
  const updateStrategy = user.choose([
    { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
    { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '50%' } },
    { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
    { type: 'OnDelete' },
  ]);
  const terms = [{ matchExpressions: [few] }];
  const required = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } };
  const affinity = user.happens(0.2) ? { affinity: { nodeAffinity: required } } : {};
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata,
    spec: {
      selector: { matchLabels: labels },
      updateStrategy,
      minReadySeconds: user.choose([0, 0, 3]),
      revisionHistoryLimit: user.between(0, 3),
      template: { metadata: { labels }, spec: { ...affinity, containers: containersOf('20m') } },
    },
  };
}
