/**
 * Processors for those who want them alone (`cpuManagerPolicy: static`), and the rest for all.
 *
 * A container of a Guaranteed pod that asks for a whole number of processors gets that many for
 * itself, on the NUMA nodes that were agreed; all others share what nobody has. Some are reserved
 * for the system and are never given away. What was given is in a file, so that a kubelet that
 * starts again knows it. `follow-cpus.ts` tells running containers when the shared ones change.
 */
import type { Container, Pod } from '#resources/types/core-v1.ts';
import type { Refusal } from '../node/admission.ts';
import type { CpuOptions } from './cpu-options.ts';
import { distributeCpus } from './distribute-cpus.ts';
import type { Hint, Hints } from './hints.ts';
import { countOf, has, type Mask, masksOf } from './masks.ts';
import { formatNumbers, hasAll, type Numbers, parseNumbers } from './number-set.ts';
import { type Provider, unexpected } from './provider.ts';
import { exclusiveCpus, exclusiveCpusOfPod, isPassing } from './requests.ts';
import type { StateFile } from './state-file.ts';
import { type Taken, takeCpus } from './take-cpus.ts';
import type { Topology } from './topology.ts';

export interface CpuState {
  readonly defaultCpuSet: string;
  /** Pod uid → container → processors. */
  readonly entries: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export interface CpuPoolDeps {
  readonly topology: Topology;
  readonly file: StateFile<CpuState>;
  /** Pods whose end has not come; undefined as long as not all are known. */
  readonly activePods: () => readonly Pod[] | undefined;
  /** Those who share have others than before. */
  readonly onChange: () => void;
}

export class CpuPool implements Provider {
  readonly #deps: CpuPoolDeps;
  readonly #options: CpuOptions;
  readonly #all: Numbers;
  readonly #reserved: Numbers;
  #shared: Numbers;
  readonly #given = new Map<string, Map<string, Numbers>>();
  /** Of the pod that is being taken: what its init containers leave to those after them. */
  #reusable: { readonly uid: string; readonly cpus: Numbers } = { uid: '', cpus: new Set() };
  readonly counts = { requests: 0, errors: 0, aligned: 0, misaligned: 0, alignedCache: 0 };

  /** Throws where the settings do not fit the machine, or the file does not fit the settings. */
  constructor(deps: CpuPoolDeps, options: CpuOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#all = new Set(deps.topology.cpus.map(({ id }) => id));
    this.#reserved = reservedOf(deps.topology, this.#all, options);
    this.#shared = options.isStrict ? this.#all.difference(this.#reserved) : this.#all;
    this.#read();
  }

  /** All that can be given, given or not. */
  get allocatable(): Numbers {
    return this.#all.difference(this.#reserved);
  }

  get shared(): Numbers {
    return this.#shared;
  }

  /** Its own, or the shared ones. */
  cpusOf(uid: string, container: string): Numbers {
    return this.ownOf(uid, container) ?? this.#shared;
  }

  ownOf(uid: string, container: string): Numbers | undefined {
    return this.#given.get(uid)?.get(container);
  }

  hasOwn(uid: string): boolean {
    return this.#given.has(uid);
  }

  /** By NUMA node. */
  givenByNode(): ReadonlyMap<number, number> {
    const counts = new Map<number, number>();
    const given = this.#givenToAny();
    for (const { id, node } of this.#deps.topology.cpus) {
      if (given.has(id)) counts.set(node, (counts.get(node) ?? 0) + 1);
    }
    return counts;
  }

  get givenCount(): number {
    return this.#givenToAny().size;
  }

  /** Of those who share, the ones that could be given. */
  get #free(): Numbers {
    return this.#shared.difference(this.#reserved);
  }

  hints(pod: Pod, container: Container | undefined): Hints {
    const uid = pod.metadata.uid ?? '';
    this.release();
    const wanted =
      container === undefined ? exclusiveCpusOfPod(pod) : exclusiveCpus(pod, container);
    if (wanted === 0) return new Map();
    const own = this.#heldBefore(pod, container);
    if (own !== undefined && own.size !== wanted) return new Map([['cpu', []]]);
    const reusable = this.#reusable.uid === uid ? this.#reusable.cpus : new Set<number>();
    const list =
      own === undefined
        ? this.#hints(this.#free, reusable, wanted)
        : this.#hints(own, new Set(), wanted);
    return new Map([['cpu', list]]);
  }

  /** What it was given before this kubelet began. */
  #heldBefore(pod: Pod, container: Container | undefined): Numbers | undefined {
    const uid = pod.metadata.uid ?? '';
    if (container !== undefined) return this.ownOf(uid, container.name);
    const all = this.#given.get(uid);
    if (all === undefined) return undefined;
    return [...all.values()].reduce((sum, own) => sum.union(own), new Set<number>());
  }

  #hints(available: Numbers, reusable: Numbers, wanted: number): readonly Hint[] {
    const { cpus, nodes } = this.#deps.topology;
    let least = nodes.length;
    const masks: Mask[] = [];
    for (const mask of masksOf(nodes.map(({ id }) => id))) {
      const within = cpus.filter(({ node }) => has(mask, node)).map(({ id }) => id);
      if (within.length >= wanted) least = Math.min(least, countOf(mask));
      const usable = available.union(reusable);
      const count = within.filter((id) => usable.has(id)).length;
      if (count >= wanted && hasAll(new Set(within), reusable)) masks.push(mask);
    }
    return masks.map((mask) => ({ mask, preferred: countOf(mask) === least }));
  }

  async allocate(
    pod: Pod,
    container: Container,
    { hint }: { readonly hint: Hint },
  ): Promise<Refusal | undefined> {
    const wanted = exclusiveCpus(pod, container);
    if (wanted === 0) return undefined;
    this.release();
    this.counts.requests += 1;
    const refusal = this.#refusal(wanted) ?? this.#give(pod, container, wanted, hint);
    if (refusal !== undefined) this.counts.errors += 1;
    if (this.#options.isWholeCores) this.counts[refusal === undefined ? 'aligned' : 'misaligned']++;
    return refusal;
  }

  /** With whole cores only: the number has to be one, and there have to be as many. */
  #refusal(wanted: number): Refusal | undefined {
    if (!this.#options.isWholeCores) return undefined;
    const { cpus } = this.#deps.topology;
    const size = Math.floor(cpus.length / new Set(cpus.map(({ core }) => core)).size);
    const refused = (message: string): Refusal => ({ reason: 'SMTAlignmentError', message });
    if (wanted % size !== 0) {
      const text = `requested ${wanted} cpus not multiple cpus per core = ${size}`;
      return refused(`SMT Alignment Error: ${text}`);
    }
    const cores = new Set(cpus.filter(({ id }) => this.#reserved.has(id)).map(({ core }) => core));
    const free = cpus.filter(({ id, core }) => this.#shared.has(id) && !cores.has(core)).length;
    if (wanted <= free) return undefined;
    return refused(
      'SMT Alignment Error: not enough free physical CPUs: available physical CPUs = ' +
        `${free}, requested CPUs = ${wanted}, CPUs per core = ${size}`,
    );
  }

  #give(pod: Pod, container: Container, wanted: number, { mask }: Hint): Refusal | undefined {
    const { uid = '' } = pod.metadata;
    const before = this.ownOf(uid, container.name);
    if (before !== undefined) {
      this.#keepForReuse(pod, container, before);
      return undefined;
    }
    const reusable = this.#reusable.uid === uid ? this.#reusable.cpus : new Set<number>();
    const available = this.#free.union(reusable);
    const { cpus } = this.#deps.topology;
    const near = new Set(
      cpus
        .filter(({ id, node }) => mask !== undefined && has(mask, node) && available.has(id))
        .map(({ id }) => id),
    );
    const first = this.#take(near, Math.min(near.size, wanted));
    if (!first.ok) return unexpected(first.problem);
    const rest = this.#take(available.difference(first.cpus), wanted - first.cpus.size);
    if (!rest.ok) return unexpected(rest.problem);
    const taken = first.cpus.union(rest.cpus);
    this.#shared = this.#shared.difference(taken);
    const own = this.#given.get(uid) ?? new Map<string, Numbers>();
    this.#given.set(uid, own.set(container.name, taken));
    this.#keepForReuse(pod, container, taken);
    if (this.#isOneCache(taken)) this.counts.alignedCache += 1;
    this.#write();
    this.#deps.onChange();
    return undefined;
  }

  #take(available: Numbers, count: number): Taken {
    const { topology } = this.#deps;
    const { isDistributed, isWholeCores, byCache } = this.#options;
    if (!isDistributed) return takeCpus(topology, available, count, { byCache });
    const cores = new Set(topology.cpus.map(({ core }) => core)).size;
    const size = isWholeCores ? Math.floor(topology.cpus.length / cores) : 1;
    return distributeCpus(topology, available, count, size);
  }

  #keepForReuse(pod: Pod, container: Container, own: Numbers): void {
    const { uid = '' } = pod.metadata;
    const before = this.#reusable.uid === uid ? this.#reusable.cpus : new Set<number>();
    const cpus = isPassing(pod, container) ? before.union(own) : before.difference(own);
    this.#reusable = { uid, cpus };
  }

  #isOneCache(taken: Numbers): boolean {
    const { cpus } = this.#deps.topology;
    return new Set(cpus.filter(({ id }) => taken.has(id)).map(({ cache }) => cache)).size === 1;
  }

  /** What pods had that have ended is everybody's again. */
  release(): void {
    const pods = this.#deps.activePods();
    if (pods === undefined) return;
    const known = new Map(pods.map((pod) => [pod.metadata.uid ?? '', pod]));
    let isChanged = false;
    for (const uid of this.#given.keys()) {
      if (known.has(uid)) continue;
      this.#given.delete(uid);
      isChanged = true;
    }
    if (!isChanged) return;
    const shared = this.#all.difference(this.#givenToAny());
    this.#shared = this.#options.isStrict ? shared.difference(this.#reserved) : shared;
    this.#write();
    this.#deps.onChange();
  }

  #givenToAny(): Numbers {
    let all: Numbers = new Set();
    for (const containers of this.#given.values()) {
      for (const own of containers.values()) all = all.union(own);
    }
    return all;
  }

  #read(): void {
    const kept = this.#deps.file.read();
    for (const [uid, containers] of Object.entries(kept?.entries ?? {})) {
      const own = Object.entries(containers).map(([name, text]) => {
        return [name, parseNumbers(text) ?? new Set<number>()] as const;
      });
      this.#given.set(uid, new Map(own));
    }
    if (kept !== undefined) {
      this.#shared = parseNumbers(kept.defaultCpuSet) ?? new Set();
      const problem = this.#problem();
      if (problem !== undefined) {
        throw new Error(
          `start cpu manager error: ${problem}, please drain node and remove policy state file`,
        );
      }
    }
    this.#write();
  }

  /** Why what was kept cannot be so on this machine, with these settings. */
  #problem(): string | undefined {
    const reserved = this.#reserved.intersection(this.#shared);
    const text = formatNumbers(this.#shared);
    if (this.#options.isStrict && reserved.size > 0) {
      const those = formatNumbers(reserved);
      return `some of strictly reserved cpus: "${those}" are present in defaultCpuSet: "${text}"`;
    }
    if (!this.#options.isStrict && reserved.size < this.#reserved.size) {
      const those = formatNumbers(this.#reserved);
      return `not all reserved cpus: "${those}" are present in defaultCpuSet: "${text}"`;
    }
    for (const [uid, containers] of this.#given) {
      for (const [name, own] of containers) {
        if (own.isDisjointFrom(this.#shared)) continue;
        const cpus = formatNumbers(own);
        return `pod: ${uid}, container: ${name} cpuset: "${cpus}" overlaps with default cpuset "${text}"`;
      }
    }
    const known = this.#shared.union(this.#givenToAny());
    const expected = this.#options.isStrict ? this.#all.difference(this.#reserved) : this.#all;
    if (known.size === expected.size && hasAll(known, expected)) return undefined;
    return (
      `current set of available CPUs "${formatNumbers(expected)}" ` +
      `doesn't match with CPUs in state "${formatNumbers(known)}"`
    );
  }

  #write(): void {
    this.#deps.file.write({
      defaultCpuSet: formatNumbers(this.#shared),
      entries: Object.fromEntries(
        [...this.#given].map(([uid, containers]) => [
          uid,
          Object.fromEntries([...containers].map(([name, own]) => [name, formatNumbers(own)])),
        ]),
      ),
    });
  }
}

/** Those that were named, or as many as are kept from pods, lowest cores first. */
function reservedOf(topology: Topology, all: Numbers, options: CpuOptions): Numbers {
  const { reservedCount: count, reservedCpus: named } = options;
  const taken = takeCpus(topology, all, count);
  const reserved = named.size > 0 ? named : taken.ok ? taken.cpus : new Set<number>();
  if (reserved.size === count && hasAll(all, reserved)) return reserved;
  throw new Error(
    '[cpumanager] unable to reserve the required amount of CPUs ' +
      `(size of ${formatNumbers(reserved)} did not equal ${count})`,
  );
}
