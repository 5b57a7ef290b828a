/** All invariants of a simulated cluster: the list is the table of contents of this folder. */
import type { WorldEvent } from '../trace.ts';
import type { Truth } from '../truth.ts';
import { AttachedOnce } from './attached-once.ts';
import { Budgets } from './budgets.ts';
import type { Checker } from './checker.ts';
import { CronStarts } from './cron-starts.ts';
import { DaemonPlacement } from './daemon-placement.ts';
import { DeploymentFloor } from './deployment-floor.ts';
import { DevicesGivenOnce } from './devices-given-once.ts';
import { Disturbances } from './disturbances.ts';
import { ForegroundOwners, Garbage } from './garbage.ts';
import { HeldObjects } from './held-objects.ts';
import { JobCounting } from './job-counting.ts';
import { Linearizable } from './linearizable.ts';
import { LivingNodes } from './living-nodes.ts';
import { NamespaceEmpty } from './namespace-empty.ts';
import { NoPodOnTwoNodes } from './no-pod-on-two-nodes.ts';
import { OneLeader } from './one-leader.ts';
import { OneManager } from './one-manager.ts';
import { PodsApart } from './pods-apart.ts';
import { PodsFit } from './pods-fit.ts';
import { Preemption } from './preemption.ts';
import { QuotaHeld } from './quota-held.ts';
import { ReplicaExcess } from './replica-excess.ts';
import { Revisions } from './revisions.ts';
import { StatefulIdentity } from './stateful-identity.ts';
import { VolumesBoundOnce } from './volumes-bound-once.ts';
import { WatchComplete } from './watch-complete.ts';

export interface Checkers {
  readonly all: readonly Checker[];
  /** What is violated by the event, each as `name: sentence`. */
  onEvent(event: WorldEvent, nowMs: number): readonly string[];
}

export function openCheckers(truth: Truth): Checkers {
  const disturbances = new Disturbances();
  const all: readonly Checker[] = [
    new NoPodOnTwoNodes(),
    new DeploymentFloor(),
    new ReplicaExcess(truth, disturbances),
    new PodsFit(truth, disturbances),
    new PodsApart(truth, disturbances),
    new DevicesGivenOnce(truth),
    new OneManager(),
    new OneLeader(),
    new Preemption(truth),
    new StatefulIdentity(truth),
    new DaemonPlacement(truth, disturbances),
    new JobCounting(truth),
    new CronStarts(truth, disturbances),
    new QuotaHeld(truth),
    new Budgets(truth),
    new VolumesBoundOnce(truth),
    new AttachedOnce(truth, disturbances),
    new Garbage(truth),
    new ForegroundOwners(truth),
    new HeldObjects(),
    new NamespaceEmpty(truth),
    new LivingNodes(),
    new Revisions(),
    new WatchComplete(),
    new Linearizable(),
  ];
  const onEvent = (event: WorldEvent, nowMs: number): readonly string[] => {
    disturbances.onEvent(event, nowMs);
    const problems: string[] = [];
    for (const checker of all) {
      const problem = checker.onEvent(event, nowMs);
      if (problem !== undefined) problems.push(`${checker.name}: ${problem}`);
    }
    return problems;
  };
  return { all, onEvent };
}
