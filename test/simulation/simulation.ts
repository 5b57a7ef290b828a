/**
 * One simulated life of a cluster, from a seed: start, roll under faults, anything under faults,
 * and then, faults over and everything back, it has to converge. The result is a trace and its
 * hash; the same seed gives the same trace, on any machine and under any load.
 */
import type { KubeObject } from '#api/object.ts';
import type { Checker } from './checkers/checker.ts';
import { missing } from './checkers/convergence.ts';
import { DeploymentFloor, quietMs } from './checkers/deployment-floor.ts';
import { NoPodOnTwoNodes } from './checkers/no-pod-on-two-nodes.ts';
import { loadDisk } from './disk.ts';
import { planOptions, type SimulationOptions } from './options.ts';
import { OutsideWork } from './outside-work.ts';
import { Workload } from './workload.ts';
import { type Intruder, World } from './world.ts';

export interface SimulationRun {
  readonly simulation?: SimulationOptions | undefined;
  readonly intruder?: Intruder | undefined;
  readonly print?: ((line: string) => void) | undefined;
}

export interface SimulationResult {
  readonly seed: number;
  readonly hash: string;
  readonly lines: number;
  readonly violation: string | undefined;
  /** How many removals of ready pods the floor was checked at. */
  readonly judged: number;
  readonly virtualMs: number;
}

const startMs = 120_000;
const convergeMsMax = 30 * 60_000;

export async function simulate(seed: number, run: SimulationRun = {}): Promise<SimulationResult> {
  await loadDisk();
  const simulation = run.simulation ?? planOptions(seed);
  const floor = new DeploymentFloor();
  const checkers: readonly Checker[] = [new NoPodOnTwoNodes(), floor];
  const world = new World({ simulation, checkers, intruder: run.intruder, print: run.print });
  const random = world.fork();
  const workload = new Workload(
    {
      clock: world.clock,
      random,
      user: world.user,
      note: (text) => world.note(text),
      components: world.components,
      nodes: world.nodes,
      crash: (name, awayMs) => world.crash(name, awayMs),
    },
    simulation,
  );
  using outside = new OutsideWork();
  const pause = (mostMs: number) => world.pass(random.integer(mostMs));

  world.note(`options ${JSON.stringify(simulation)}`);
  world.start();
  if (!(await world.until(() => countNodes(world) === simulation.nodes, startMs))) {
    world.fail(`only ${countNodes(world)} nodes came up`);
  }
  await world.perform((signal) => workload.createAll(signal));
  await world.until(() => isConverged(world, workload), startMs);
  await world.pass(quietMs);
  world.setFaults(true);
  for (let step = 0; step < simulation.rollingSteps && ok(world); step++) {
    await world.perform((signal) => workload.rollingStep(signal));
    await pause(30_000);
  }
  for (let step = 0; step < simulation.mixedSteps && ok(world); step++) {
    await world.perform((signal) => workload.mixedStep(signal));
    await pause(30_000);
  }
  world.setFaults(false);
  const converged = await world.until(
    () => world.isHealthy && isConverged(world, workload),
    convergeMsMax,
    2_000,
  );
  if (!converged && ok(world)) {
    world.fail(`not converged: ${missing(objectsOf(world), workload.deployments).join('; ')}`);
  }
  await world.close();
  if (outside.found.length > 0) world.fail(`work outside the virtual clock: ${outside.found}`);
  return {
    seed,
    hash: world.trace.digest(),
    lines: world.trace.lines.length,
    violation: world.violation,
    judged: floor.judged,
    virtualMs: world.clock.monotonic(),
  };
}

function ok(world: World): boolean {
  return world.violation === undefined;
}

function countNodes(world: World): number {
  return world.store.count('/registry/minions/');
}

function isConverged(world: World, workload: Workload): boolean {
  return missing(objectsOf(world), workload.deployments).length === 0;
}

function objectsOf(world: World): readonly KubeObject[] {
  const prefixes = ['minions', 'deployments', 'replicasets', 'pods'];
  return prefixes.flatMap((name) =>
    world.store.list({ prefix: `/registry/${name}/` }).entries.map(
      // The API server writes JSON of the kind that the key names.
      ({ value }) => JSON.parse(Buffer.from(value).toString('utf8')) as KubeObject,
    ),
  );
}
