/**
 * What the people and the machines of a simulated cluster do: first they roll Deployments while
 * components crash, then anything may happen to everything that the seed has chosen. Next: one file
 * for each sort of thing (`deployments.ts`, `jobs.ts`, …), and `chaos.ts` for the machines.
 */
import type { SimulationOptions } from '../options.ts';
import { Accounts } from './accounts.ts';
import { Adoptions } from './adoptions.ts';
import { Autoscalers } from './autoscalers.ts';
import type { Chaos } from './chaos.ts';
import { CronJobs } from './cron-jobs.ts';
import { DaemonSets } from './daemon-sets.ts';
import { Deployments } from './deployments.ts';
import { Devices } from './devices.ts';
import { Drains } from './drains.ts';
import { Floods } from './floods.ts';
import { Jobs } from './jobs.ts';
import { Namespaces } from './namespaces.ts';
import { Owners } from './owners.ts';
import { Placements } from './placements.ts';
import { Priorities } from './priorities.ts';
import { Quotas } from './quotas.ts';
import { registersNamespace } from './registers.ts';
import { Selectors } from './selectors.ts';
import { Services } from './services.ts';
import { StatefulSets } from './stateful-sets.ts';
import { Taints } from './taints.ts';
import type { Actor, User } from './user.ts';
import { Volumes } from './volumes.ts';

const actorsOf: Readonly<Record<string, (user: User, options: SimulationOptions) => Actor>> = {
  accounts: (user) => new Accounts(user),
  adoptions: (user) => new Adoptions(user),
  autoscalers: (user) => new Autoscalers(user),
  cronJobs: (user) => new CronJobs(user),
  daemonSets: (user) => new DaemonSets(user),
  // A flood of a hundred thousand, for sure; asked for by name only.
  deluge: (user) => new Floods(user, { most: 100_000 }),
  devices: (user) => new Devices(user),
  drains: (user) => new Drains(user),
  floods: (user) => new Floods(user),
  jobs: (user) => new Jobs(user),
  owners: (user) => new Owners(user),
  namespaces: (user) => new Namespaces(user),
  placements: (user) => new Placements(user),
  priorities: (user, { capacity, nodes }) =>
    new Priorities(user, { cpu: Number(capacity['cpu']), nodes }),
  quotas: (user) => new Quotas(user),
  selectors: (user) => new Selectors(user),
  services: (user) => new Services(user),
  statefulSets: (user) => new StatefulSets(user),
  taints: (user) => new Taints(user),
  volumes: (user) => new Volumes(user),
  registers: (user) => ({
    begin: (signal) => user.createNamespace(registersNamespace, signal),
    step: async () => {},
    missing: () => [],
  }),
};

export class Workload {
  readonly #user: User;
  readonly #chaos: Chaos;
  readonly #deployments: Deployments;
  readonly #actors: readonly Actor[];

  constructor(user: User, chaos: Chaos, options: SimulationOptions) {
    this.#user = user;
    this.#chaos = chaos;
    this.#deployments = new Deployments(user, options.deploymentsMax);
    const others = options.actors.flatMap((name) => actorsOf[name]?.(user, options) ?? []);
    this.#actors = [this.#deployments, ...others];
  }

  async begin(signal: AbortSignal): Promise<void> {
    for (const actor of this.#actors) await actor.begin(signal);
  }

  async rollingStep(signal: AbortSignal): Promise<void> {
    if (this.#user.happens(2 / 3)) await this.#deployments.roll(signal);
    else this.#chaos.crashComponent();
  }

  async mixedStep(signal: AbortSignal): Promise<void> {
    if (this.#user.happens(0.3)) this.#chaos.step();
    else await this.#user.choose(this.#actors).step(signal);
  }

  async settle(signal: AbortSignal): Promise<void> {
    for (const actor of this.#actors) await actor.settle?.(signal);
  }

  missing(): readonly string[] {
    return this.#actors.flatMap((actor) => actor.missing());
  }
}
