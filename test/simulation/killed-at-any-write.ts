/**
 * One short life of a cluster, told again and again: each time the controllers, or the scheduler,
 * are killed at another write, as they send it (nobody knows whether it was carried out) or the
 * moment it is committed (it was, and they never hear of it). Whatever the moment, all comes out as
 * wished, and nothing is made twice.
 *
 * Chance finds some of these moments in every seed (`die` in `faults.ts`); here is each of them.
 * `npm run sim -- --kills` tries all, the tests some.
 */
import assert from 'node:assert/strict';
import { configMaps, deployments, jobs, namespaces, statefulSets } from '#resources/kinds.ts';
import type { Deployment, StatefulSet } from '#resources/types/apps-v1.ts';
import type { Job } from '#resources/types/batch-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { type Checkers, openCheckers } from './checkers/checkers.ts';
import { madeOf } from './checkers/written.ts';
import { loadDisk } from './disk.ts';
import { noFaults } from './faults.ts';
import { planOptions } from './options.ts';
import { isJobOver, isPodReady } from './states.ts';
import type { WorldEvent } from './trace.ts';
import { Truth } from './truth.ts';
import { containersOf, deploymentOf } from './workload/user.ts';
import { World } from './world.ts';

const minute = 60_000;
const namespace = 'default';
/** Three of the Deployment and three after its roll, two of the StatefulSet, two of the Job. */
const podsMade = 10;
/** Nobody waits for what is told. */
const told = /\/(events|leases)(\/|$)/;
const unwatched = new Set(['Event', 'Lease', 'Node']);

export interface Kill {
  readonly component: 'controllers' | 'scheduler';
  readonly at: 'sent' | 'committed';
  readonly number: number;
}

class Story {
  readonly #truth = new Truth();
  readonly #world: World;
  readonly #kill: Kill | undefined;
  readonly counts = { controllers: 0, scheduler: 0, committed: 0 };
  readonly made = new Set<string>();

  constructor(kill: Kill | undefined) {
    this.#kill = kill;
    const truth = this.#truth;
    const checkers = openCheckers(truth);
    const onEvent: Checkers['onEvent'] = (event, nowMs) => {
      this.#count(event);
      return checkers.onEvent(event, nowMs);
    };
    const calm = { network: noFaults, disk: { fail: 0, delayMsMax: 2 }, failedStarts: 0 };
    const small = { nodes: 2, copies: 1, actors: [], isExtended: false, zones: 0 };
    const delays = { startMs: 200, readyMs: 0, stopMs: 200 };
    const simulation = { ...planOptions(1), ...calm, ...small, delays };
    this.#world = new World({ simulation, truth, checkers: { all: checkers.all, onEvent } });
  }

  async live(): Promise<void> {
    const world = this.#world;
    world.start();
    await this.#until('the nodes are there', () => [...this.#truth.of('Node')].length === 2);
    await world.perform((signal) => this.#create(signal));
    await this.#until('all is made', () => this.#areReady(3, 2));
    await world.perform((signal) => this.#change(signal));
    await this.#until('all is changed', () => this.#isOver());
    await world.pass(30_000);
    assert.ok(this.#isOver(), 'it stays so');
    await world.close();
    assert.equal(world.violation, undefined);
  }

  /** From now on there are two of each, and each believes that it leads. */
  startSecondLeaders(): void {
    for (const name of this.#world.mistakes) this.#world.startByMistake(name, 60 * minute);
  }

  #count(event: WorldEvent): void {
    const pod = madeOf<Pod>(event, 'Pod');
    if (pod !== undefined) this.made.add(pod.metadata.uid ?? '');
    const kill = this.#kill;
    if (event.what === 'acted') {
      const { copy, request } = event;
      if ((copy !== 'controllers' && copy !== 'scheduler') || told.test(request)) return;
      this.counts[copy] += 1;
      if (kill?.at === 'sent' && kill.component === copy && kill.number === this.counts[copy])
        this.#world.crash(copy, 500);
    }
    if ((event.what !== 'put' && event.what !== 'delete') || unwatched.has(event.object.kind))
      return;
    this.counts.committed += 1;
    if (kill?.at === 'committed' && kill.number === this.counts.committed)
      this.#world.crash(kill.component, 500);
  }

  async #create(signal: AbortSignal): Promise<void> {
    const { user } = this.#world;
    const containers = containersOf('20m');
    const labels = { app: 'db' };
    const template = { metadata: { labels }, spec: { containers } };
    await user.create(deployments, deploymentOf({ namespace, name: 'web' }, 3, { containers }), {
      signal,
    });
    const db: StatefulSet = {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { namespace, name: 'db' },
      spec: { replicas: 2, serviceName: 'db', selector: { matchLabels: labels }, template },
    };
    await user.create(statefulSets, db, { signal });
    const annotations = { 'hollow.coracle.dev/run-seconds': '2' };
    const once = { restartPolicy: 'Never', containers };
    const sums: Job = {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { namespace, name: 'sums' },
      spec: { completions: 2, template: { metadata: { annotations }, spec: once } },
    };
    await user.create(jobs, sums, { signal });
    const team = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } };
    await user.create(namespaces, team, { signal });
    const metadata = { name: 'note', namespace: 'team' };
    await user.create(configMaps, { apiVersion: 'v1', kind: 'ConfigMap', metadata }, { signal });
  }

  async #change(signal: AbortSignal): Promise<void> {
    const { user } = this.#world;
    const merge = { type: 'merge', signal } as const;
    const annotations = { roll: 'once' };
    const roll = { spec: { template: { metadata: { annotations } } } };
    await user.patch(deployments, { namespace, name: 'web' }, roll, merge);
    await user.patch(statefulSets, { namespace, name: 'db' }, { spec: { replicas: 1 } }, merge);
    await user.delete(namespaces, { name: 'team' }, { signal });
  }

  #areReady(web: number, db: number): boolean {
    const ready = (app: string): number =>
      [...this.#truth.of<Pod>('Pod', namespace)].filter(
        (pod) => pod.metadata.labels?.['app'] === app && isPodReady(pod),
      ).length;
    return ready('web') === web && ready('db') === db;
  }

  #isOver(): boolean {
    const truth = this.#truth;
    const { metadata, status } = truth.find<Deployment>('Deployment', 'web', namespace) ?? {};
    const isRolled =
      status?.observedGeneration === metadata?.generation &&
      status?.updatedReplicas === 3 &&
      status.replicas === 3 &&
      status.availableReplicas === 3;
    const sums = truth.find<Job>('Job', 'sums', namespace);
    const isDone = sums !== undefined && isJobOver(sums) && sums.status?.succeeded === 2;
    const isGone = truth.find('Namespace', 'team') === undefined && truth.countIn('team') === 0;
    // Of the Job two, which have ended and are kept.
    const left = [...truth.of<Pod>('Pod', namespace)].length === 6;
    return isRolled && isDone && isGone && left && this.#areReady(3, 1);
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    const came = await this.#world.until(holds, 10 * minute);
    assert.ok(came, `${what}: ${this.#world.violation ?? 'not within ten minutes'}`);
  }
}

/** Every moment there is, as a life without a death counts them. */
export async function allKills(): Promise<readonly Kill[]> {
  const { controllers, scheduler, committed } = await tell(undefined);
  const upTo = (most: number) => Array.from({ length: most }, (_, index) => index + 1);
  return [
    ...upTo(controllers).map(
      (number) => ({ component: 'controllers', at: 'sent', number }) as const,
    ),
    ...upTo(scheduler).map((number) => ({ component: 'scheduler', at: 'sent', number }) as const),
    ...upTo(committed).flatMap((number) => [
      { component: 'controllers', at: 'committed', number } as const,
      { component: 'scheduler', at: 'committed', number } as const,
    ]),
  ];
}

export function killText({ component, at, number }: Kill): string {
  const whose = at === 'sent' ? 'its own' : 'any';
  return `${component} killed as number ${number} of ${whose} writes is ${at}`;
}

/** Throws where the life did not come out as wished; else how many writes there were. */
export async function tell(kill: Kill | undefined): Promise<Story['counts']> {
  await loadDisk();
  const story = new Story(kill);
  await story.live();
  assert.equal(story.made.size, podsMade, 'pods that were made');
  return story.counts;
}

/** Nobody is killed, but two of each lead from beginning to end, and have to agree all the same. */
export async function tellOfTwoLeaders(): Promise<void> {
  await loadDisk();
  const story = new Story(undefined);
  story.startSecondLeaders();
  await story.live();
  assert.ok(story.made.size > podsMade, 'both made pods');
}
