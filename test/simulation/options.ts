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
  readonly network: FaultRates;
  readonly disk: DiskRates;
  /** Longest time that a crashed component stays away. */
  readonly crashMsMax: number;
}

export interface DiskRates {
  /** Chance per batch that it fails. */
  readonly fail: number;
  /** Longest commit. */
  readonly delayMsMax: number;
}

export function planOptions(seed: number): SimulationOptions {
  const random = seededRandom(seed);
  const between = (least: number, most: number): number => least + random.integer(most - least + 1);
  const share = (most: number): number => random.fraction() * most;
  return {
    seed,
    nodes: between(3, between(3, 20)),
    deploymentsMax: between(1, 4),
    rollingSteps: between(3, 6),
    mixedSteps: between(4, 10),
    delays: {
      startMs: between(50, 5_000),
      readyMs: oneOf(random, [0, between(0, 5_000)]),
      stopMs: between(10, 3_000),
    },
    failedStarts: oneOf(random, [0, 0, share(0.1)]),
    network: {
      lose: share(0.03),
      loseAnswer: share(0.03),
      late: share(0.03),
      delay: share(0.1),
      repeat: share(0.03),
      breakWatch: share(0.5),
    },
    disk: { fail: oneOf(random, [0, share(0.02)]), delayMsMax: between(1, 50) },
    crashMsMax: between(100, 30_000),
  };
}

export function oneOf<T>(random: Random, choices: readonly T[]): T {
  const choice = choices[random.integer(choices.length)];
  if (choice === undefined) throw new Error('nothing to choose from');
  return choice;
}
