/**
 * What the people and the machines of a simulated cluster do: create, roll, scale and delete
 * Deployments, while components crash and, in the second part, nodes die and return.
 *
 * The user's own requests are repeated until they are answered, so every wish counts in the end.
 */
import { ApiError, isReason } from '#api/errors.ts';
import type { Client } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Random } from '#kit/random.ts';
import { deployments } from '#resources/kinds.ts';
import type { Deployment } from '#resources/types/apps-v1.ts';
import { ConnectionLost } from './faults.ts';
import { oneOf, type SimulationOptions } from './options.ts';

export interface WorkloadDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly user: Client;
  readonly note: (text: string) => void;
  /** Names of what can crash besides nodes. */
  readonly components: readonly string[];
  readonly nodes: readonly string[];
  /** Takes it away and brings it back after the time. */
  readonly crash: (name: string, awayMs: number) => void;
}

type Step = 'create' | 'roll' | 'scale' | 'delete' | 'crashComponent' | 'crashNode';

const namespace = 'default';

export class Workload {
  readonly #deps: WorkloadDeps;
  readonly #options: SimulationOptions;
  readonly #names: string[] = [];
  #made = 0;

  constructor(deps: WorkloadDeps, options: SimulationOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  get deployments(): readonly string[] {
    return this.#names;
  }

  async createAll(signal: AbortSignal): Promise<void> {
    while (this.#names.length < this.#options.deploymentsMax) await this.#create(signal);
  }

  rollingStep(signal: AbortSignal): Promise<void> {
    return this.#step(oneOf(this.#deps.random, ['roll', 'roll', 'crashComponent']), signal);
  }

  mixedStep(signal: AbortSignal): Promise<void> {
    const steps = ['create', 'roll', 'scale', 'scale', 'delete', 'crashComponent', 'crashNode'];
    return this.#step(oneOf(this.#deps.random, steps as readonly Step[]), signal);
  }

  async #step(step: Step, signal: AbortSignal): Promise<void> {
    const { random, components, nodes, crash } = this.#deps;
    switch (step) {
      case 'create':
        if (this.#names.length < this.#options.deploymentsMax) await this.#create(signal);
        return;
      case 'roll':
        return this.#patch(
          { template: { metadata: { annotations: { roll: random.uuid() } } } },
          signal,
        );
      case 'scale':
        return this.#patch({ replicas: random.integer(10) }, signal);
      case 'delete':
        return this.#delete(signal);
      case 'crashComponent':
        return crash(oneOf(random, components), random.integer(this.#options.crashMsMax));
      case 'crashNode':
        // Sometimes longer than pods stay on a node that is away (300 s and the 50 s of grace).
        return crash(oneOf(random, nodes), random.integer(oneOf(random, [60_000, 500_000])));
      default:
        step satisfies never;
    }
  }

  async #create(signal: AbortSignal): Promise<void> {
    const { random, user } = this.#deps;
    this.#made += 1;
    const name = `web-${this.#made}`;
    const deployment = newDeployment(name, random);
    this.#deps.note(`user: create ${name}`);
    await this.#insist(signal, async () => {
      try {
        await user.create(deployments, deployment, { signal });
      } catch (error) {
        if (!isReason(error, 'AlreadyExists')) throw error;
      }
    });
    this.#names.push(name);
  }

  async #patch(spec: unknown, signal: AbortSignal): Promise<void> {
    if (this.#names.length === 0) return;
    const name = oneOf(this.#deps.random, this.#names);
    this.#deps.note(`user: patch ${name} ${JSON.stringify(spec)}`);
    await this.#insist(signal, async () => {
      const at = { namespace, name };
      await this.#deps.user.patch(deployments, at, { spec }, { type: 'strategic', signal });
    });
  }

  async #delete(signal: AbortSignal): Promise<void> {
    if (this.#names.length < 2) return;
    const name = oneOf(this.#deps.random, this.#names);
    this.#deps.note(`user: delete ${name}`);
    this.#names.splice(this.#names.indexOf(name), 1);
    await this.#insist(signal, async () => {
      try {
        await this.#deps.user.delete(deployments, { namespace, name }, { signal });
      } catch (error) {
        if (!isReason(error, 'NotFound')) throw error;
      }
    });
  }

  async #insist(signal: AbortSignal, request: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await request();
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof ConnectionLost) && !(error instanceof ApiError)) throw error;
        this.#deps.note(`user: again after ${error.message}`);
        await this.#deps.clock.sleep(1_000, { signal });
      }
    }
  }
}

function newDeployment(name: string, random: Random): Deployment {
  const labels = { app: name };
  const [maxSurge, maxUnavailable] = oneOf(random, [
    [1, 0],
    [0, 1],
    [1, 1],
    [3, 2],
    ['25%', '25%'],
    ['100%', '0%'],
    ['0%', '50%'],
  ] as const);
  const cpu = `${50 * (1 + random.integer(4))}m`;
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace },
    spec: {
      replicas: 1 + random.integer(8),
      selector: { matchLabels: labels },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: 'c', image: 'web:1', resources: { requests: { cpu } } }] },
      },
    },
  };
}
