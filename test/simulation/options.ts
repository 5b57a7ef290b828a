/**
 * Everything that a seed decides before the world begins: its size, its delays, how bad its network
 * and its disk are. What happens then, `workload.ts` draws step by step from the same seed.
 */
import { type Random, seededRandom } from '#kit/random.ts';
import type { FaultRates } from './faults.ts';

export interface SimulationOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly deploymentsMax: number;
  /** Steps in which Deployments only roll, so that their floor can be judged. */
  readonly rollingSteps: number;
  /** Steps in which anything may happen. */
  readonly mixedSteps: number;
  readonly delays: { readonly startMs: number; readonly readyMs: number; readonly stopMs: number };
  readonly failedStarts: number;
  readonly capacity: Readonly<Record<string, string>>;
  /** Among how many zones the nodes are shared out; 0: none has any. */
  readonly zones: number;
  readonly network: FaultRates;
  readonly disk: DiskRates;
  /** Longest time that a crashed component stays away. */
  readonly crashMsMax: number;
  /** How many copies of controllers and scheduler there are, of which one of each leads. */
  readonly copies: number;
  /** Somebody outside has a say in what the scheduler decides. */
  readonly isExtended: boolean;
  /** What happens besides Deployments, by name (`workload/workload.ts`). */
  readonly actors: readonly string[];
}

export interface DiskRates {
  /** Chance per batch that it fails. */
  readonly fail: number;
  /** Longest commit. */
  readonly delayMsMax: number;
}

/** Everything that can be chosen. */
const actorNames = [
  'accounts',
  'adoptions',
  'autoscalers',
  'cronJobs',
  'daemonSets',
  'devices',
  'drains',
  'floods',
  'jobs',
  'namespaces',
  'owners',
  'placements',
  'priorities',
  'quotas',
  'registers',
  'selectors',
  'services',
  'statefulSets',
  'taints',
  'volumes',
] as const;

export function planOptions(seed: number): SimulationOptions {
  const random = seededRandom(seed);
  const between = (least: number, most: number): number => least + random.integer(most - least + 1);
  const share = (most: number): number => random.fraction() * most;
  return {
    seed,
    nodes: between(3, between(3, 20)),
    deploymentsMax: between(1, 4),
    rollingSteps: between(3, 6),
    mixedSteps: between(6, 16),
    delays: {
      startMs: between(50, 5_000),
      readyMs: oneOf(random, [0, between(0, 5_000)]),
      stopMs: between(10, 3_000),
    },
    failedStarts: oneOf(random, [0, 0, share(0.1)]),
    capacity: { cpu: oneOf(random, ['4', '8']) },
    zones: oneOf(random, [0, 2, 3]),
    network: {
      lose: share(0.03),
      loseAnswer: share(0.03),
      late: share(0.03),
      delay: share(0.1),
      repeat: share(0.03),
      breakWatch: share(0.5),
      stallWatch: share(0.005),
      die: oneOf(random, [0, share(0.005)]),
    },
    disk: { fail: oneOf(random, [0, share(0.02)]), delayMsMax: between(1, 50) },
    crashMsMax: between(100, 30_000),
    copies: oneOf(random, [1, 1, 2]),
    actors: someOf(random, actorNames, 0.3),
    isExtended: random.fraction() < 0.25,
  };
}

export function oneOf<T>(random: Random, choices: readonly T[]): T {
  if (choices.length === 0) throw new Error('nothing to choose from');
  // Not empty, so there is one at this index; undefined may be among the choices.
  return choices[random.integer(choices.length)] as T;
}

function someOf<T>(random: Random, choices: readonly T[], share: number): readonly T[] {
  return choices.filter(() => random.fraction() < share);
}
