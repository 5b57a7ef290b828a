/**
 * Pods that are particular about where they go: each on a node of its own, by anti-affinity or by a
 * port of the host, beside others, or spread evenly; scaled beyond what there is room for, and
 * killed. Who waits is told why.
 */
import { pods, replicaSets } from '#resources/kinds.ts';
import type { ReplicaSet } from '#resources/types/apps-v1.ts';
import type { Node, Pod, PodSpec } from '#resources/types/core-v1.ts';
import { isActive, isPodReady } from '../states.ts';
import { type Actor, containersOf, replicaSetOf, type User } from './user.ts';

const namespace = 'placed';
const topologyKey = 'kubernetes.io/hostname';
const containers = containersOf('10m');
const ports = [{ containerPort: 80, hostPort: 8080 }];
const termFor = (app: string) => ({ topologyKey, labelSelector: { matchLabels: { app } } });
/** At most one pod of these on a node. */
const alone: Readonly<Record<string, PodSpec>> = {
  apart: {
    containers,
    affinity: {
      podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [termFor('apart')] },
    },
  },
  ported: { containers: containers.map((container) => ({ ...container, ports })) },
};
const sociable: Readonly<Record<string, PodSpec>> = {
  beside: {
    containers,
    affinity: {
      podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [termFor('beside')] },
      nodeAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          {
            weight: 10,
            preference: {
              matchExpressions: [{ key: topologyKey, operator: 'NotIn', values: ['node-1'] }],
            },
          },
        ],
      },
    },
  },
  shy: {
    containers,
    affinity: {
      podAntiAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          { weight: 100, podAffinityTerm: termFor('beside') },
        ],
      },
    },
  },
  spread: {
    containers,
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey,
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: { app: 'spread' } },
      },
    ],
  },
};
/** Kept even among nodes, and as even as may be among zones. */
const labelSelector = { matchLabels: { app: 'even' } };
const even: PodSpec = {
  containers,
  topologySpreadConstraints: [
    { maxSkew: 2, topologyKey, whenUnsatisfiable: 'DoNotSchedule', labelSelector },
    {
      maxSkew: 1,
      topologyKey: 'topology.kubernetes.io/zone',
      whenUnsatisfiable: 'ScheduleAnyway',
      labelSelector,
      nodeTaintsPolicy: 'Honor',
    },
  ],
};
const shapes = { ...alone, ...sociable, even };
const names = Object.keys(shapes);
const steps = ['scale', 'scale', 'kill', 'kill', 'why'] as const;

export class Placements implements Actor {
  readonly #user: User;

  constructor(user: User) {
    this.#user = user;
  }

  async begin(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    await user.createNamespace(namespace, signal);
    for (const [name, spec] of Object.entries(shapes)) {
      const labels = { app: name };
      const template = { metadata: { labels }, spec };
      const set = replicaSetOf({ name, namespace }, { replicas: 2, labels, template });
      await user.create(replicaSets, set, signal);
    }
  }

  async step(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const step = user.choose(steps);
    if (step === 'scale') {
      const at = { namespace, name: user.choose(names) };
      const patch = { spec: { replicas: user.between(0, 6) } };
      return user.patch(replicaSets, at, patch, { signal });
    }
    const all = [...user.truth.of<Pod>('Pod', namespace)];
    if (step === 'why') return user.askWhy(all, signal);
    if (all.length === 0) return;
    const { name = '' } = user.choose(all).metadata;
    return user.delete(pods, { namespace, name }, { signal });
  }

  missing(): readonly string[] {
    const { truth } = this.#user;
    const problems: string[] = [];
    const nodes = [...truth.of<Node>('Node')].length;
    const ready = new Map<string, number>();
    for (const pod of truth.of<Pod>('Pod', namespace)) {
      if (!isActive(pod)) continue;
      const app = pod.metadata.labels?.['app'] ?? '';
      if (isPodReady(pod)) ready.set(app, (ready.get(app) ?? 0) + 1);
      const told = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
      if (pod.spec?.nodeName || told?.reason === 'Unschedulable') continue;
      problems.push(`pod ${pod.metadata.name} waits, and nobody says why`);
    }
    for (const { metadata, spec } of truth.of<ReplicaSet>('ReplicaSet', namespace)) {
      const { name = '' } = metadata;
      const wanted = spec?.replicas ?? 0;
      const most = name in alone ? Math.min(wanted, nodes) : wanted;
      const count = ready.get(name) ?? 0;
      if (count !== most) problems.push(`${name} has ${count} ready pods of ${most}`);
    }
    return problems;
  }
}

/** Whether no other of its sort may be on the same node. */
export function isLoner({ metadata }: Pod): boolean {
  return metadata.namespace === namespace && (metadata.labels?.['app'] ?? '') in alone;
}
