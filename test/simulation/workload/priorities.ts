/**
 * Pods that each take most of a node: many of low priority, a few of high, which take the place of
 * the low ones. Who finds no room has to be told so, and waits without harm.
 */
import { pods, priorityClasses, replicaSets } from '#resources/kinds.ts';
import type { Node, Pod, PodSpec } from '#resources/types/core-v1.ts';
import { overfull, podsOn } from '../checkers/pods-fit.ts';
import { type Actor, containersOf, replicaSetOf, type User } from './user.ts';

const crowdNamespace = 'crowd';
const namespace = crowdNamespace;
const values = { low: -100, high: 1000 } as const;
const impossible = 'impossible';
const besideNobody = {
  requiredDuringSchedulingIgnoredDuringExecution: [
    { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: 'nobody' } } },
  ],
};
/** More than any node has; a label that none has; company that nobody is; a spread over nothing. */
const impossibleSpecs: readonly PodSpec[] = [
  { containers: containersOf('1000') },
  { containers: containersOf('20m'), nodeSelector: { nowhere: 'yes' } },
  { containers: containersOf('20m'), affinity: { podAffinity: besideNobody } },
  {
    containers: containersOf('20m'),
    topologySpreadConstraints: [
      { maxSkew: 1, topologyKey: 'nowhere', whenUnsatisfiable: 'DoNotSchedule' },
    ],
  },
];
const steps = ['low', 'high', 'high', 'impossible', 'clear', 'why'] as const;

export class Priorities implements Actor {
  readonly #user: User;
  readonly #cpu: string;
  readonly #nodes: number;
  readonly #high: string[] = [];

  constructor(user: User, { cpu, nodes }: { readonly cpu: number; readonly nodes: number }) {
    this.#user = user;
    this.#cpu = `${Math.round(cpu * 600)}m`;
    this.#nodes = nodes;
  }

  async begin(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    await user.createNamespace(namespace, signal);
    for (const [name, value] of Object.entries(values)) {
      const metadata = { name };
      const made = { apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata, value };
      await user.create(priorityClasses, made, signal);
    }
    const labels = { app: 'low' };
    const template = { metadata: { labels }, spec: this.#podSpec('low') };
    const metadata = { name: 'low', namespace };
    const made = replicaSetOf(metadata, { replicas: this.#nodes, labels, template });
    await user.create(replicaSets, made, signal);
  }

  async step(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const step = user.choose(steps);
    switch (step) {
      case 'low': {
        const at = { namespace, name: 'low' };
        const spec = { replicas: user.random.integer(this.#nodes + 2) };
        await user.patch(replicaSets, at, { spec }, { signal });
        return;
      }
      case 'high':
        if (this.#high.length < Math.floor(this.#nodes / 2)) await this.#createHigh(signal);
        return;
      case 'impossible': {
        const metadata = { name: user.nextName(impossible), namespace };
        const spec = user.choose(impossibleSpecs);
        await user.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec }, signal);
        return;
      }
      case 'clear': {
        const name = this.#high.shift();
        if (name !== undefined) await user.delete(pods, { namespace, name }, { signal });
        return;
      }
      case 'why':
        return user.askWhy(user.truth.of<Pod>('Pod', namespace), signal);
      default:
        step satisfies never;
    }
  }

  missing(): readonly string[] {
    const { truth } = this.#user;
    const problems: string[] = [];
    for (const pod of truth.of<Pod>('Pod', namespace)) {
      const { name, deletionTimestamp } = pod.metadata;
      if (deletionTimestamp !== undefined) problems.push(`pod ${name} is terminating`);
      if (pod.spec?.nodeName || deletionTimestamp !== undefined) continue;
      const told = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
      if (told?.reason !== 'Unschedulable' || !told.message) {
        problems.push(`pod ${name} waits, and nobody says why`);
      }
      if (name?.startsWith(impossible)) continue;
      const room = this.#roomFor(pod);
      if (room !== undefined) problems.push(`pod ${name} waits, and ${room} has room for it`);
    }
    return problems;
  }

  /** A node that it fits on, if need be in the place of pods of lower priority. */
  #roomFor(pod: Pod): string | undefined {
    const { truth } = this.#user;
    const priority = pod.spec?.priority ?? 0;
    for (const node of truth.of<Node>('Node')) {
      const { name = '' } = node.metadata;
      const staying = podsOn(truth, name).filter(({ spec }) => (spec?.priority ?? 0) >= priority);
      if (overfull(node, [...staying, pod]) === undefined) return name;
    }
    return undefined;
  }

  #podSpec(priorityClassName: keyof typeof values) {
    return { priorityClassName, containers: containersOf(this.#cpu) };
  }

  async #createHigh(signal: AbortSignal): Promise<void> {
    const name = this.#user.nextName('high');
    const metadata = { name, namespace };
    const spec = this.#podSpec('high');
    await this.#user.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec }, signal);
    this.#high.push(name);
  }
}
