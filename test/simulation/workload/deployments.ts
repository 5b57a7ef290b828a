/**
 * Deployments: created, rolled, scaled, paused, switched to Recreate, rolled back and deleted. In
 * the first part of a simulation they do nothing but roll, so that their floor can be judged.
 */
import { deployments } from '#resources/kinds.ts';
import type { Deployment } from '#resources/types/apps-v1.ts';
import { missingIn } from '../checkers/convergence.ts';
import type { Actor, User } from './user.ts';
import { containersOf } from './user.ts';

const namespace = 'default';
const steps = [
  ...(['create', 'roll', 'roll', 'scale', 'scale'] as const),
  ...(['pause', 'recreate', 'undo', 'delete'] as const),
];

export class Deployments implements Actor {
  readonly #user: User;
  readonly #most: number;
  readonly #names: string[] = [];
  readonly #paused = new Set<string>();

  constructor(user: User, most: number) {
    this.#user = user;
    this.#most = most;
  }

  async begin(signal: AbortSignal): Promise<void> {
    while (this.#names.length < this.#most) await this.#create(signal);
  }

  async roll(signal: AbortSignal): Promise<void> {
    const roll = this.#user.random.uuid();
    await this.#patch({ template: { metadata: { annotations: { roll } } } }, signal);
  }

  async step(signal: AbortSignal): Promise<void> {
    const step = this.#user.choose(steps);
    switch (step) {
      case 'create':
        if (this.#names.length < this.#most) await this.#create(signal);
        return;
      case 'roll':
        return this.roll(signal);
      case 'scale':
        return this.#patch({ replicas: this.#user.random.integer(10) }, signal);
      case 'pause':
        return this.#pause(signal);
      case 'recreate':
        return this.#patch({ strategy: { type: 'Recreate', rollingUpdate: null } }, signal);
      case 'undo':
        return this.#undo(signal);
      case 'delete':
        return this.#delete(signal);
      default:
        step satisfies never;
    }
  }

  async settle(signal: AbortSignal): Promise<void> {
    for (const name of this.#paused) await this.#patch({ paused: false }, signal, name);
    this.#paused.clear();
  }

  missing(): readonly string[] {
    return missingIn(this.#user.truth, namespace, this.#names);
  }

  async #create(signal: AbortSignal): Promise<void> {
    const name = this.#user.nextName('web');
    await this.#user.create(deployments, newDeployment(name, this.#user), signal);
    this.#names.push(name);
  }

  async #patch(spec: object, signal: AbortSignal, only?: string): Promise<void> {
    if (this.#names.length === 0) return;
    const name = only ?? this.#user.choose(this.#names);
    await this.#user.patch(deployments, { namespace, name }, { spec }, { signal });
  }

  async #pause(signal: AbortSignal): Promise<void> {
    if (this.#names.length === 0) return;
    const name = this.#user.choose(this.#names);
    const paused = !this.#paused.delete(name);
    if (paused) this.#paused.add(name);
    await this.#patch({ paused }, signal, name);
  }

  /** As old clients do: to the revision before, to an early one, or to one that never was. */
  async #undo(signal: AbortSignal): Promise<void> {
    if (this.#names.length === 0) return;
    const name = this.#user.choose(this.#names);
    const revision = this.#user.choose(['0', '0', '2', '99']);
    const annotations = { 'deprecated.deployment.rollback.to': revision };
    const patch = { metadata: { annotations } };
    await this.#user.patch(deployments, { namespace, name }, patch, { signal });
  }

  async #delete(signal: AbortSignal): Promise<void> {
    if (this.#names.length < 2) return;
    const name = this.#user.choose(this.#names);
    this.#names.splice(this.#names.indexOf(name), 1);
    this.#paused.delete(name);
    const propagationPolicy = this.#user.choose(['Background', 'Foreground'] as const);
    await this.#user.delete(deployments, { namespace, name }, { propagationPolicy, signal });
  }
}

function newDeployment(name: string, user: User): Deployment {
  const labels = { app: name };
  const [maxSurge, maxUnavailable] = user.choose([
    [1, 0],
    [0, 1],
    [1, 1],
    [3, 2],
    ['25%', '25%'],
    ['100%', '0%'],
    ['0%', '50%'],
  ] as const);
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace },
    spec: {
      replicas: user.between(1, 8),
      selector: { matchLabels: labels },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } },
      template: {
        metadata: { labels },
        spec: { containers: containersOf(`${50 * user.between(1, 4)}m`) },
      },
    },
  };
}
