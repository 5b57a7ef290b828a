/**
 * A whole cluster in one process under one virtual clock: store, API server, controllers, scheduler
 * and hollow nodes, the very components of production, each behind a faulty transport of its own.
 *
 * The store's own watch feeds trace and checkers, so they see the committed truth in its order and
 * not what some component believes. Every component draws from a random of its own, seeded in a
 * fixed order, so that one of them drawing more does not change the others.
 */

import type { KubeObject } from '#api/object.ts';
import { type ApiServer, openApiServer } from '#apiserver';
import { type Client, openClient, openInformers } from '#client';
import { runControllers } from '#controllers';
import { runHollowNodes } from '#hollow';
import { aborted } from '#kit/aborted.ts';
import type { Logger } from '#kit/log.ts';
import { type Random, seededRandom } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import type { Identity, Transport } from '#kit/transport.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { openCatalog } from '#resources/resources.ts';
import { runScheduler } from '#scheduler';
import type { Store, StoreEvent } from '#store';
import type { Checker } from './checkers/checker.ts';
import { Component } from './component.ts';
import { Disk } from './disk.ts';
import { FaultyTransport } from './faults.ts';
import { Gateway } from './gateway.ts';
import type { SimulationOptions } from './options.ts';
import { serverOptions } from './server-options.ts';
import { describe, formatSeconds, Trace, type WorldEvent } from './trace.ts';
import { worldLog } from './world-log.ts';

export interface WorldOptions {
  readonly simulation: SimulationOptions;
  readonly checkers: readonly Checker[];
  /** Beside the usual components: made to break an invariant on purpose. */
  readonly intruder?: Intruder | undefined;
  /** Gets every line of the trace as it is made, and what components log. */
  readonly print?: ((line: string) => void) | undefined;
}

export type Intruder = (deps: IntruderDeps, signal: AbortSignal) => Promise<void>;

export interface IntruderDeps {
  readonly client: Client;
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly log: Logger;
}

const apiserver = 'apiserver';

export class World {
  readonly clock = new VirtualClock();
  readonly trace = new Trace();
  readonly user: Client;
  readonly nodes: readonly string[];
  /** What can crash besides nodes. */
  readonly components: readonly string[];
  /** The first thing that went wrong. */
  violation: string | undefined;
  readonly #options: WorldOptions;
  readonly #random: Random;
  readonly #scope = new Scope(new AbortController().signal);
  readonly #gateway = new Gateway();
  readonly #disk: Disk;
  readonly #serverOptions = serverOptions();
  readonly #parts = new Map<string, Component>();
  #store: Store | undefined;
  #seenRevision = 0;
  #faultsOn = false;

  constructor(options: WorldOptions) {
    const { simulation, intruder } = options;
    this.#options = options;
    this.#random = seededRandom(simulation.seed);
    this.#disk = new Disk({ clock: this.clock, random: this.#fork() }, simulation.disk);
    this.nodes = Array.from({ length: simulation.nodes }, (_, index) => `node-${index + 1}`);
    this.#add(apiserver, (signal, random) => this.#runServer(signal, random));
    this.#addControl();
    for (const [index, name] of this.nodes.entries()) this.#addNode(name, index);
    this.components = [apiserver, 'controllers', 'scheduler'];
    if (intruder !== undefined) this.#addIntruder(intruder);
    this.user = openClient({ transport: this.#gateway.transport(admin), clock: this.clock });
  }

  get store(): Store {
    if (this.#store === undefined) throw new Error('the store is not open');
    return this.#store;
  }

  get isHealthy(): boolean {
    return [...this.#parts.values()].every(({ isUp }) => isUp);
  }

  /** Faults of network and disk; crashes are the workload's. */
  setFaults(areOn: boolean): void {
    this.note(areOn ? 'faults begin' : 'faults end');
    this.#faultsOn = areOn;
    this.#disk.setFaults(areOn);
  }

  /** A random whose numbers depend on the seed and on how many were forked before. */
  fork(): Random {
    return this.#fork();
  }

  start(): void {
    for (const part of this.#parts.values()) part.start();
  }

  /** Takes a component away and, after the time, brings it back. */
  crash(name: string, awayMs: number): void {
    const part = this.#parts.get(name);
    if (part === undefined || !part.isUp) return;
    this.note(`crash: ${name} for ${awayMs} ms`);
    const isNode = this.nodes.includes(name);
    if (isNode) this.observe({ what: 'nodeDown', node: name });
    this.#scope.spawn(async (signal) => {
      await part.crash();
      await this.clock.sleep(awayMs, { signal });
      this.note(`back: ${name}`);
      if (isNode) this.observe({ what: 'nodeUp', node: name });
      part.start();
    });
  }

  /** Lets time pass until the condition holds; false when the limit came first. */
  async until(condition: () => boolean, limitMs: number, stepMs = 500): Promise<boolean> {
    const endMs = this.clock.monotonic() + limitMs;
    while (this.violation === undefined && this.clock.monotonic() < endMs) {
      await this.clock.advance(stepMs);
      if (condition()) return true;
    }
    return false;
  }

  /** Lets time pass, unless something has gone wrong. */
  async pass(deltaMs: number): Promise<void> {
    const endMs = this.clock.monotonic() + deltaMs;
    while (this.violation === undefined && this.clock.monotonic() < endMs) {
      await this.clock.advance(Math.min(100, endMs - this.clock.monotonic()));
    }
  }

  /** Runs a task of the user's; time passes until it is done. */
  async perform(task: (signal: AbortSignal) => Promise<void>): Promise<void> {
    let done = false;
    this.#scope.spawn(async (signal) => {
      await task(signal);
      done = true;
    });
    if (!(await this.until(() => done, 10 * 60_000, 50))) this.fail('the user got no answer');
  }

  note(text: string): void {
    this.observe({ what: 'note', text });
  }

  observe(event: WorldEvent): void {
    const nowMs = this.clock.monotonic();
    const text = describe(event);
    if (text !== undefined) this.#print(`${formatSeconds(nowMs)} ${text}`);
    for (const checker of this.#options.checkers) {
      const problem = checker.onEvent(event, nowMs);
      if (problem !== undefined) this.fail(`${checker.name}: ${problem}`);
    }
  }

  fail(text: string): void {
    this.#print(`${formatSeconds(this.clock.monotonic())} VIOLATION ${text}`);
    this.violation ??= text;
  }

  async close(): Promise<void> {
    this.setFaults(false);
    for (const part of [...this.#parts.values()].reverse()) await part.crash();
    await this.#scope[Symbol.asyncDispose]();
  }

  #print(line: string): void {
    this.trace.add(line);
    this.#options.print?.(line);
  }

  #fork(): Random {
    return seededRandom(this.#random.integer(2 ** 31));
  }

  #add(name: string, run: (signal: AbortSignal, random: Random) => Promise<void>): void {
    const random = this.#fork();
    const onFailure = (text: string): void => this.fail(text);
    this.#parts.set(name, new Component(name, { run: (signal) => run(signal, random), onFailure }));
  }

  #addControl(): void {
    this.#add('controllers', async (signal, random) => {
      const deps = this.#depsOf('controllers', random);
      const informers = openInformers(deps);
      const scope = new Scope(signal);
      scope.spawn((inner) => informers.run(inner));
      scope.spawn((inner) =>
        runControllers(
          { ...deps, informers, onBug: rethrow },
          { signal: inner, clusterCIDR: '10.42.0.0/16', rootCA: 'no certificate' },
        ),
      );
      await scope.join();
    });
    this.#add('scheduler', async (signal, random) => {
      const deps = this.#depsOf('scheduler', random);
      const informers = openInformers(deps);
      const scope = new Scope(signal);
      scope.spawn((inner) => informers.run(inner));
      scope.spawn((inner) => runScheduler({ ...deps, informers }, { signal: inner }));
      await scope.join();
    });
  }

  #addNode(name: string, firstIndex: number): void {
    const { delays, failedStarts } = this.#options.simulation;
    this.#add(name, (signal, random) => {
      const options = { names: [name], firstIndex, delays, failedStarts, signal };
      return runHollowNodes(this.#depsOf(name, random), options);
    });
  }

  #addIntruder(intruder: Intruder): void {
    this.#add('intruder', (signal, random) => intruder(this.#depsOf('intruder', random), signal));
  }

  /** What a component is given: its own view of the world, with nothing behind it. */
  #depsOf(name: string, random: Random): IntruderDeps {
    const { clock } = this;
    const identity = identities[name] ?? admin;
    const transport = this.#faulty(this.#gateway.transport(identity), random);
    const client = openClient({ transport, clock, userAgent: name });
    const print = this.#options.print;
    return { client, clock, random, log: worldLog({ world: this, component: name, print }) };
  }

  #faulty(inner: Transport, random: Random): Transport {
    return new FaultyTransport(
      {
        clock: this.clock,
        random,
        scope: this.#scope,
        areOn: () => this.#faultsOn,
        note: (text) => this.note(text),
        onAmbiguous: ({ method, path }) => {
          const isPod = /\/pods(\/[^/?]+)?(\?|$)/.test(path);
          if (isPod && method !== 'GET') this.observe({ what: 'ambiguousPodWrite' });
        },
      },
      inner,
      this.#options.simulation.network,
    );
  }

  /** The API server and the store below it, from opening to crash. */
  async #runServer(signal: AbortSignal, random: Random): Promise<void> {
    const { clock } = this;
    const print = this.#options.print;
    const log = worldLog({ world: this, component: apiserver, print });
    const store = await this.#disk.open({ clock, log });
    this.#store = store;
    const watch = store.watch(
      { prefix: '', afterRevision: this.#seenRevision },
      { onEvents: (events) => this.#onCommit(events), onEnd: () => {} },
    );
    if (watch === undefined)
      throw new Error(`the store has lost its history: ${store.oldestRevision}`);
    const catalog = openCatalog();
    const deps = { store, catalog, clock, random, log };
    const server: ApiServer = await openApiServer(deps, this.#serverOptions);
    if (!signal.aborted) {
      this.#gateway.open(server);
      await aborted(signal);
    }
    this.#gateway.close();
    watch.cancel();
    this.#disk.crash();
    await server[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  }

  #onCommit(events: readonly StoreEvent[]): void {
    for (const { type, value, previous, revision } of events) {
      this.#seenRevision = revision;
      const bytes = type === 'put' ? value : previous?.value;
      const object = bytes === undefined ? undefined : parseObject(bytes);
      if (object !== undefined) this.observe({ what: type, object, revision });
    }
  }
}

const admin: Identity = {
  name: 'system:admin',
  groups: ['system:masters', 'system:authenticated'],
};

/** As in a real cluster; hollow nodes may do anything. */
const identities: Readonly<Record<string, Identity>> = {
  controllers: { name: 'system:kube-controller-manager', groups: ['system:authenticated'] },
  scheduler: { name: 'system:kube-scheduler', groups: ['system:authenticated'] },
};

/** Objects only: the server may keep other things (address bitmaps) beside them. */
function parseObject(bytes: Uint8Array): KubeObject | undefined {
  // The store's bytes were written by the API server: JSON, and an object where it has a kind.
  const object = JSON.parse(Buffer.from(bytes).toString('utf8')) as Partial<KubeObject>;
  return object.kind === undefined || object.metadata === undefined
    ? undefined
    : (object as KubeObject);
}

/** A broken assertion ends the component, which ends the simulation. */
function rethrow(error: Error): never {
  throw error;
}
