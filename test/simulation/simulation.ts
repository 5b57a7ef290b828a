/**
 * One simulated life of a cluster, from a seed: start, roll under faults, anything under faults,
 * and then, faults over and everything back, it has to converge. The result is a trace and its
 * hash; the same seed gives the same trace, on any machine and under any load.
 */
import { type Checkers, openCheckers } from './checkers/checkers.ts';
import { quietMs } from './checkers/deployment-floor.ts';
import { loadDisk } from './disk.ts';
import { planOptions, type SimulationOptions } from './options.ts';
import { OutsideWork } from './outside-work.ts';
import { Truth } from './truth.ts';
import { follower, Observer } from './watchers.ts';
import { Chaos } from './workload/chaos.ts';
import { registerClient } from './workload/registers.ts';
import { storageDriver } from './workload/storage-driver.ts';
import { User } from './workload/user.ts';
import { Workload } from './workload/workload.ts';
import { type Intruder, World } from './world.ts';

export interface SimulationRun {
  readonly simulation?: SimulationOptions | undefined;
  /** What happens besides Deployments, instead of what the seed chooses. */
  readonly actors?: readonly string[] | undefined;
  readonly intruder?: Intruder | undefined;
  readonly print?: ((line: string) => void) | undefined;
}

export interface SimulationResult {
  readonly seed: number;
  readonly hash: string;
  readonly lines: number;
  readonly violation: string | undefined;
  /** How often each checker had something to judge. */
  readonly judged: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
  readonly virtualMs: number;
}

const startMs = 120_000;
const convergeMsMax = 60 * 60_000;

export async function simulate(seed: number, run: SimulationRun = {}): Promise<SimulationResult> {
  await loadDisk();
  const planned = run.simulation ?? planOptions(seed);
  const simulation = run.actors === undefined ? planned : { ...planned, actors: run.actors };
  const life = new Life(simulation, run);
  using outside = new OutsideWork();
  await life.live();
  const { world, checkers } = life;
  await world.close();
  if (outside.found.length > 0) world.fail(`work outside the virtual clock: ${outside.found}`);
  return {
    seed,
    hash: world.trace.digest(),
    lines: world.trace.lines.length,
    violation: world.violation,
    judged: Object.fromEntries(checkers.all.map((checker) => [checker.name, checker.judged])),
    faults: Object.fromEntries(world.faults),
    virtualMs: world.clock.monotonic(),
  };
}

class Life {
  readonly world: World;
  readonly checkers: Checkers;
  readonly #simulation: SimulationOptions;
  readonly #truth = new Truth();
  readonly #observer = new Observer(this.#truth);
  readonly #user: User;
  readonly #workload: Workload;

  constructor(simulation: SimulationOptions, { intruder, print }: SimulationRun) {
    this.#simulation = simulation;
    const truth = this.#truth;
    this.checkers = openCheckers(truth);
    const observe: World['observe'] = (event) => this.world.observe(event);
    const { actors } = simulation;
    const registers = actors.includes('registers') ? ['client-1', 'client-2'] : [];
    const clients = Object.fromEntries(registers.map((name) => [name, registerClient(observe)]));
    const drivers = actors.includes('volumes') ? { 'storage-driver': storageDriver } : {};
    const world = new World({
      simulation,
      checkers: this.checkers,
      truth,
      clients: { ...clients, ...drivers, observer: this.#observer.run },
      follower: follower(observe),
      intruder,
      print,
    });
    this.world = world;
    const { clock } = world;
    this.#user = new User({ client: world.user, clock, random: world.fork(), truth, observe });
    const chaos = new Chaos(
      {
        user: this.#user,
        components: world.components,
        nodes: world.nodes,
        mistakes: world.mistakes,
        crash: (name, awayMs, meanwhile) => world.crash(name, awayMs, meanwhile),
        startByMistake: (name, forMs) => world.startByMistake(name, forMs),
        fillDisk: (forMs) => world.fillDisk(forMs),
        forgetHistory: () => world.forgetHistory(),
        jumpClock: (name, byMs) => world.jumpClock(name, byMs),
      },
      simulation,
    );
    this.#workload = new Workload(this.#user, chaos, simulation);
  }

  async live(): Promise<void> {
    const simulation = this.#simulation;
    const { world } = this;
    const workload = this.#workload;
    world.note(`options ${JSON.stringify(simulation)}`);
    world.start();
    if (!(await world.until(() => this.#countNodes() === simulation.nodes, startMs))) {
      world.fail(`only ${this.#countNodes()} nodes came up`);
    }
    await world.perform((signal) => workload.begin(signal));
    await world.until(() => workload.missing().length === 0, startMs);
    await world.pass(quietMs);
    world.setFaults(true);
    await this.#steps(simulation.rollingSteps, (signal) => workload.rollingStep(signal));
    await this.#steps(simulation.mixedSteps, (signal) => workload.mixedStep(signal));
    world.setFaults(false);
    await world.until(() => world.isHealthy, convergeMsMax);
    await world.perform((signal) => workload.settle(signal));
    const converged = await world.until(() => this.#missing().length === 0, convergeMsMax, 2_000);
    if (!converged && world.violation === undefined) {
      world.fail(`not converged: ${this.#missing().join('; ')}`);
    }
  }

  async #steps(count: number, step: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { world } = this;
    for (let index = 0; index < count && world.violation === undefined; index++) {
      await world.perform(step);
      await world.pass(this.#user.random.integer(30_000));
    }
  }

  #countNodes(): number {
    return [...this.#truth.of('Node')].length;
  }

  #missing(): readonly string[] {
    if (!this.world.isHealthy) return ['not everything is back'];
    return [...this.#workload.missing(), ...this.#observer.missing()];
  }
}
