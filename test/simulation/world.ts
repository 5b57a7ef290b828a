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
import { type Client, openClient } from '#client';
import { aborted } from '#kit/aborted.ts';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import { type Random, seededRandom } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import type { Identity, Transport } from '#kit/transport.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { openCatalog } from '#resources/resources.ts';
import type { Store, StoreEvent } from '#store';
import type { Checkers } from './checkers/checkers.ts';
import { controllersOf, hollowNode, schedulerOf } from './cluster-parts.ts';
import { Component } from './component.ts';
import { Disk } from './disk.ts';
import { FaultyTransport, noFaults } from './faults.ts';
import { Gateway } from './gateway.ts';
import type { SimulationOptions } from './options.ts';
import { serverOptions } from './server-options.ts';
import { SkewedClock } from './skewed-clock.ts';
import { describe, formatSeconds, Trace, type WorldEvent } from './trace.ts';
import type { Truth } from './truth.ts';
import { measure } from './workload/metrics.ts';
import { worldLog } from './world-log.ts';

export interface WorldOptions {
  readonly simulation: SimulationOptions;
  readonly checkers: Checkers;
  readonly truth: Truth;
  /** Components that only ask and look, by name. */
  readonly clients?: Readonly<Record<string, Intruder>> | undefined;
  /** A component over a connection without faults. */
  readonly follower?: Intruder | undefined;
  /** Beside the usual components: made to break an invariant on purpose. */
  readonly intruder?: Intruder | undefined;
  /** Gets every line of the trace as it is made, and what components log. */
  readonly print?: ((line: string) => void) | undefined;
}

export type Intruder = (deps: IntruderDeps, signal: AbortSignal) => Promise<void>;

export interface IntruderDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const apiserver = 'apiserver';
/** Asked to run by mistake only. */
const mistakes = ['controllers-mistake', 'scheduler-mistake'] as const;

export class World {
  readonly clock = new VirtualClock();
  readonly trace = new Trace();
  readonly user: Client;
  readonly nodes: readonly string[];
  /** What can crash besides nodes. */
  readonly components: readonly string[];
  /** Second copies that nobody should start. */
  readonly mistakes: readonly string[] = mistakes;
  /** The first thing that went wrong. */
  violation: string | undefined;
  /** How often each fault happened. */
  readonly faults = new Map<string, number>();
  readonly #options: WorldOptions;
  readonly #random: Random;
  readonly #scope = new Scope(new AbortController().signal);
  readonly #gateway = new Gateway((path) => measure(this.#options.truth, path, this.clock.now()));
  readonly #disk: Disk;
  readonly #serverOptions = serverOptions();
  readonly #parts = new Map<string, Component>();
  readonly #clocks = new Map<string, SkewedClock>();
  #store: Store | undefined;
  #seenRevision = 0;
  #faultsOn = false;

  constructor(options: WorldOptions) {
    const { simulation, intruder, clients = {}, follower } = options;
    this.#options = options;
    this.#random = seededRandom(simulation.seed);
    this.#disk = new Disk({ clock: this.clock, random: this.#fork() }, simulation.disk);
    this.nodes = Array.from({ length: simulation.nodes }, (_, index) => `node-${index + 1}`);
    this.#add(apiserver, (signal, random) => this.#runServer(signal, random));
    const control = this.#addControl(simulation);
    for (const [index, name] of this.nodes.entries()) {
      this.#addComponent(name, hollowNode(simulation, name, index));
    }
    this.components = [apiserver, ...control];
    for (const [name, client] of Object.entries(clients)) this.#addComponent(name, client);
    if (follower !== undefined) this.#addFollower(follower);
    if (intruder !== undefined) this.#addComponent('intruder', intruder);
    this.user = openClient({ transport: this.#gateway.transport(admin), clock: this.clock });
  }

  get store(): Store {
    if (this.#store === undefined) throw new Error('the store is not open');
    return this.#store;
  }

  get isHealthy(): boolean {
    return [...this.#parts].every(([name, { isUp }]) => isUp !== isMistake(name));
  }

  /** Faults of network and disk, and wrong clocks; crashes are the workload's. */
  setFaults(areOn: boolean): void {
    this.note(areOn ? 'faults begin' : 'faults end');
    this.#faultsOn = areOn;
    this.#disk.setFaults(areOn);
    if (!areOn) for (const clock of this.#clocks.values()) clock.offsetMs = 0;
  }

  /** A random whose numbers depend on the seed and on how many were forked before. */
  fork(): Random {
    return this.#fork();
  }

  start(): void {
    for (const [name, part] of this.#parts) if (!isMistake(name)) part.start();
  }

  /** Takes a component away and, after the time, brings it back; what happens meanwhile first. */
  crash(name: string, awayMs: number, meanwhile?: (signal: AbortSignal) => Promise<void>): void {
    const part = this.#parts.get(name);
    if (part === undefined || !part.isUp) return;
    this.note(`crash: ${name} for ${awayMs} ms`);
    this.disturbed('crash', name);
    const isNode = this.nodes.includes(name);
    if (isNode) this.observe({ what: 'nodeDown', node: name });
    this.#scope.spawn(async (signal) => {
      await part.crash();
      await this.clock.sleep(awayMs, { signal });
      await meanwhile?.(signal);
      this.note(`back: ${name}`);
      if (isNode) this.observe({ what: 'nodeUp', node: name });
      part.start();
    });
  }

  startByMistake(name: string, forMs: number): void {
    const part = this.#parts.get(name);
    if (part === undefined || part.isUp) return;
    this.note(`mistake: ${name} for ${forMs} ms`);
    this.disturbed('mistake', name);
    part.start();
    this.#scope.spawn(async (signal) => {
      await this.clock.sleep(forMs, { signal });
      await part.crash();
      this.note(`mistake over: ${name}`);
      this.disturbed('mistakeOver', name);
    });
  }

  /** Nothing can be written until then. */
  fillDisk(forMs: number): void {
    this.note(`disk full for ${forMs} ms`);
    this.disturbed('disk', apiserver);
    this.#disk.fill(true);
    this.#scope.spawn(async (signal) => {
      await this.clock.sleep(forMs, { signal });
      this.#disk.fill(false);
      this.note('disk has room');
      this.disturbed('disk', apiserver);
    });
  }

  /** Compacts the store up to now and restarts the API server: watches cannot go on from before. */
  forgetHistory(): void {
    const store = this.#store;
    if (store === undefined || this.#parts.get(apiserver)?.isUp !== true) return;
    this.note('history is forgotten');
    this.disturbed('forget', apiserver);
    this.#scope.spawn(async () => {
      // After a restart numbers are left out: what was seen last may be far below the newest.
      await store.compact(this.#seenRevision).catch(() => this.note('compaction failed'));
      this.crash(apiserver, 500);
    });
  }

  jumpClock(name: string, byMs: number): void {
    const clock = this.#clocks.get(name);
    if (clock === undefined) return;
    this.note(`clock of ${name} jumps by ${byMs} ms`);
    this.disturbed('clock', name);
    clock.offsetMs += byMs;
  }

  disturbed(by: string, component: string, more: { method?: string; path?: string } = {}): void {
    this.faults.set(by, (this.faults.get(by) ?? 0) + 1);
    this.observe({ what: 'disturbed', by, component, ...more });
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
      try {
        await task(signal);
      } catch (error) {
        signal.throwIfAborted();
        this.fail(`the user failed: ${error instanceof Error ? error.stack : error}`);
      }
      done = true;
    });
    if (!(await this.until(() => done, 10 * 60_000, 50))) this.fail('the user got no answer');
  }

  note(text: string): void {
    this.observe({ what: 'note', text });
  }

  readonly observe = (event: WorldEvent): void => {
    const nowMs = this.clock.monotonic();
    const text = describe(event);
    if (text !== undefined) this.#print(`${formatSeconds(nowMs)} ${text}`);
    for (const problem of this.#options.checkers.onEvent(event, nowMs)) this.fail(problem);
  };

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

  /** Gives the names of what it made that can crash. */
  #addControl(simulation: SimulationOptions): readonly string[] {
    const { copies } = simulation;
    const names: string[] = [];
    for (let copy = 1; copy <= copies; copy++) {
      for (const [what, make] of [
        ['controllers', controllersOf],
        ['scheduler', schedulerOf],
      ] as const) {
        const name = copy === 1 ? what : `${what}-${copy}`;
        names.push(name);
        this.#addComponent(
          name,
          make(copies > 1 ? { lease: what, identity: name } : undefined, simulation),
        );
      }
    }
    this.#addComponent(mistakes[0], controllersOf(undefined));
    this.#addComponent(mistakes[1], schedulerOf(undefined, simulation));
    return names;
  }

  #addComponent(name: string, run: Intruder): void {
    const clock = this.#skewed(name);
    this.#add(name, (signal, random) => {
      const transport = this.#faulty(name, this.#gateway.transport(identityOf(name)), random);
      return run(this.#depsOf(name, mortal(transport, signal), clock, random), signal);
    });
  }

  #skewed(name: string): SkewedClock {
    const onStandstill = (): void => this.fail(`${name} does the same again and again`);
    const clock = new SkewedClock(this.clock, { onStandstill });
    this.#clocks.set(name, clock);
    return clock;
  }

  #addFollower(run: Intruder): void {
    this.#add('follower', (signal, random) =>
      run(this.#depsOf('follower', this.#gateway.transport(admin), this.clock, random), signal),
    );
  }

  /** What a component is given: its own view of the world, with nothing behind it. */
  #depsOf(name: string, transport: Transport, clock: Clock, random: Random): IntruderDeps {
    const client = openClient({ transport, clock, userAgent: name });
    const print = this.#options.print;
    return { client, clock, random, log: worldLog({ world: this, component: name, print }) };
  }

  #faulty(name: string, inner: Transport, random: Random): Transport {
    const { network, crashMsMax } = this.#options.simulation;
    // A node that dies at a write leaves its pods for long: those deaths are the workload's.
    const mayDie = this.components.includes(name);
    return new FaultyTransport(
      {
        clock: this.clock,
        random,
        scope: this.#scope,
        areOn: () => this.#faultsOn,
        note: (text) => this.note(text),
        onFault: (fault, { method, path }) => {
          this.disturbed(fault, name, { method, path });
        },
        onDeath: () => this.crash(name, random.integer(crashMsMax)),
        onSend: ({ method, path }) => {
          if (method !== 'GET') this.observe({ what: 'acted', copy: name, request: path });
        },
      },
      inner,
      mayDie ? network : { ...network, die: noFaults.die },
    );
  }

  /** The API server and the store below it, from opening to crash. */
  async #runServer(signal: AbortSignal, random: Random): Promise<void> {
    const print = this.#options.print;
    const log = worldLog({ world: this, component: apiserver, print });
    const clock = this.#skewed(apiserver);
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
      if (object === undefined) continue;
      const before = this.#options.truth.see({ what: type, object, revision });
      this.observe({ what: type, object, revision, before });
    }
  }
}

const admin: Identity = {
  name: 'system:admin',
  groups: ['system:masters', 'system:authenticated'],
};

/** Who has crashed sends nothing more, not even a farewell. */
function mortal(inner: Transport, life: AbortSignal): Transport {
  return {
    send: async (request, options) => {
      life.throwIfAborted();
      return inner.send(request, options);
    },
  };
}

/** As in a real cluster; hollow nodes may do anything. */
function identityOf(name: string): Identity {
  const groups = ['system:authenticated'];
  if (name.startsWith('controllers')) return { name: 'system:kube-controller-manager', groups };
  if (name.startsWith('scheduler')) return { name: 'system:kube-scheduler', groups };
  return admin;
}

function isMistake(name: string): boolean {
  return name.endsWith('-mistake');
}

/** Objects only: the server may keep other things (address bitmaps) beside them. */
function parseObject(bytes: Uint8Array): KubeObject | undefined {
  // The store's bytes were written by the API server: JSON, and an object where it has a kind.
  const object = JSON.parse(Buffer.from(bytes).toString('utf8')) as Partial<KubeObject>;
  return object.kind === undefined || object.metadata === undefined
    ? undefined
    : (object as KubeObject);
}
