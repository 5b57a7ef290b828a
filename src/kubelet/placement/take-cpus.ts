/**
 * Which processors are given together: as few NUMA nodes, sockets and cores as possible, and
 * those first of which the least is left, so that large free pieces stay. Pure.
 *
 * Whole nodes and sockets come first, then (where wished) whole and partial third-level caches,
 * then whole cores, then single processors. `distribute-cpus.ts` is the other way. Behaviour:
 * kubernetes.io, "Control CPU Management Policies on the Node".
 *
 * Example: two sockets of two cores with two threads each; 5 wanted of 8 free: one socket (4),
 * then one thread of the other.
 */
import type { Numbers } from './number-set.ts';
import type { Cpu, Topology } from './topology.ts';

export type Taken =
  | { readonly ok: true; readonly cpus: Numbers }
  | { readonly ok: false; readonly problem: string };

type Level = 'node' | 'socket' | 'core' | 'cache';

export function takeCpus(
  topology: Topology,
  available: Numbers,
  count: number,
  { byCache = false }: { readonly byCache?: boolean } = {},
): Taken {
  const taking = new Taking(topology, available, count);
  if (taking.needed > taking.free.length) return { ok: false, problem: tooFew(count, available) };
  const steps = [
    () => taking.takeWhole(taking.first),
    () => taking.takeWhole(taking.second),
    ...(byCache ? [() => taking.takeCaches()] : []),
    () => taking.takeWhole('core'),
    () => taking.takeSingle(),
  ];
  for (const step of steps) if (taking.needed > 0) step();
  return { ok: true, cpus: taking.taken };
}

export function tooFew(count: number, available: Numbers): string {
  const figures = `requested=${count}, available=${available.size}`;
  return `not enough cpus available to satisfy request: ${figures}`;
}

/** NUMA nodes that have free processors, those of which the least is left first. */
export function nodesByFree(topology: Topology, available: Numbers): readonly number[] {
  return new Taking(topology, available, 0).order('node');
}

/** What is taken, and what may be, of one request. */
class Taking {
  readonly #topology: Topology;
  free: readonly Cpu[];
  taken: Numbers = new Set();
  needed: number;
  /** Whether nodes hold sockets, or sockets hold nodes. */
  readonly first: 'node' | 'socket';
  readonly second: 'node' | 'socket';

  constructor(topology: Topology, available: Numbers, count: number) {
    this.#topology = topology;
    this.free = topology.cpus.filter(({ id }) => available.has(id));
    this.needed = count;
    const isNodeFirst = idsOf(topology.cpus, 'socket').size >= idsOf(topology.cpus, 'node').size;
    this.first = isNodeFirst ? 'node' : 'socket';
    this.second = isNodeFirst ? 'socket' : 'node';
  }

  /** Those with anything free, the fullest first, each within what holds it. */
  order(level: Level): readonly number[] {
    if (level === this.first) return this.#sorted(level, this.free);
    const outer: Level =
      level === this.second ? this.first : level === 'core' ? this.second : 'node';
    const all = this.order(outer).flatMap((id) =>
      this.#sorted(
        level,
        this.free.filter((cpu) => cpu[outer] === id),
      ),
    );
    return [...new Set(all)];
  }

  #sorted(level: Level, among: readonly Cpu[]): readonly number[] {
    const size = (id: number): number => this.free.filter((cpu) => cpu[level] === id).length;
    return [...idsOf(among, level)].sort((a, b) => size(a) - size(b) || a - b);
  }

  takeWhole(level: Level): void {
    const whole = this.order(level).filter((id) => {
      const all = this.#topology.cpus.filter((cpu) => cpu[level] === id);
      return all.length === this.free.filter((cpu) => cpu[level] === id).length;
    });
    for (const id of whole) {
      const cpus = this.free.filter((cpu) => cpu[level] === id);
      if (cpus.length > 0 && cpus.length <= this.needed) this.#take(cpus);
    }
  }

  /** Whole caches as long as they are needed, then as much of one as is missing. */
  takeCaches(): void {
    const { cpus } = this.#topology;
    const size = Math.floor(cpus.length / idsOf(cpus, 'cache').size);
    for (const cache of this.order('cache')) {
      if (this.needed >= size) this.takeWhole('cache');
      if (this.needed > 0) this.#takePart(cache);
      if (this.needed === 0) return;
    }
  }

  /** Whole cores of one cache; of the last one a single thread, if the number is odd. */
  #takePart(cache: number): void {
    const { cpus } = this.#topology;
    const threads = Math.floor(cpus.length / idsOf(cpus, 'core').size);
    const within = this.free.filter((cpu) => cpu.cache === cache);
    const cores = [...idsOf(within, 'core')].sort((a, b) => a - b);
    const wanted = new Set(cores.slice(0, Math.ceil(this.needed / threads)));
    let found = within.filter(({ core }) => wanted.has(core)).toSorted((a, b) => a.id - b.id);
    const isOdd = this.needed % 2 !== 0 && threads > 1;
    if (isOdd && found.length > this.needed) found = found.slice(0, -1);
    if (found.length === this.needed) this.#take(found);
  }

  takeSingle(): void {
    const single = this.order('core').flatMap((core) =>
      this.free.filter((cpu) => cpu.core === core).toSorted((a, b) => a.id - b.id),
    );
    this.#take(single.slice(0, this.needed));
  }

  #take(cpus: readonly Cpu[]): void {
    const ids = new Set(cpus.map(({ id }) => id));
    this.taken = this.taken.union(ids);
    this.free = this.free.filter(({ id }) => !ids.has(id));
    this.needed -= ids.size;
  }
}

function idsOf(cpus: readonly Cpu[], level: Level): ReadonlySet<number> {
  return new Set(cpus.map((cpu) => cpu[level]));
}
