/**
 * Memory of certain NUMA nodes for containers of Guaranteed pods (`memoryManagerPolicy: Static`).
 *
 * Each gets blocks: so much of a resource from these nodes; the runtime then lets it use memory of
 * those nodes only. What was given is in a file. `memory-map.ts` counts what is left and says where
 * more could be given; init containers leave their memory to those that come after them.
 */
import type { Container, Pod } from '#resources/types/core-v1.ts';
import type { Refusal } from '../node/admission.ts';
import { initContainersOf, startOrder } from '../pods/pod-facts.ts';
import type { Hint, Hints } from './hints.ts';
import { type Mask, maskOf, nodesOf } from './masks.ts';
import {
  type Block,
  bestHint,
  isMixed,
  isRoomy,
  isSameMap,
  type MemoryMap,
  memoryHints,
  memoryMap,
  type Reserved,
} from './memory-map.ts';
import { type Provider, unexpected } from './provider.ts';
import { exclusiveMemory, exclusiveMemoryOfPod, isPassing, type Wants } from './requests.ts';
import type { StateFile } from './state-file.ts';
import type { Topology } from './topology.ts';

type Entries = Readonly<Record<string, Readonly<Record<string, readonly Block[]>>>>;

export interface MemoryState {
  readonly machineState: MemoryMap;
  /** Pod uid → container → blocks. */
  readonly entries: Entries;
}

export interface MemoryPoolDeps {
  readonly topology: Topology;
  readonly file: StateFile<MemoryState>;
  /** Pods whose end has not come; undefined as long as not all are known. */
  readonly activePods: () => readonly Pod[] | undefined;
}

export class MemoryPool implements Provider {
  readonly #deps: MemoryPoolDeps;
  readonly #reserved: Reserved;
  readonly #given = new Map<string, Map<string, readonly Block[]>>();
  #map: MemoryMap;
  readonly counts = { requests: 0, errors: 0 };

  /** Throws where the file does not fit the machine. */
  constructor(deps: MemoryPoolDeps, reserved: Reserved) {
    this.#deps = deps;
    this.#reserved = reserved;
    this.#map = this.#count();
    this.#read();
  }

  blocksOf(uid: string, container: string): readonly Block[] {
    return this.#given.get(uid)?.get(container) ?? [];
  }

  /** All that can be given, given or not. */
  get allocatable(): readonly Block[] {
    return Object.entries(this.#map).flatMap(([id, { memoryMap: tables }]) =>
      Object.entries(tables)
        .filter(([, { allocatable }]) => allocatable > 0)
        .map(([type, { allocatable }]) => ({
          ...{ numaAffinity: [Number(id)], type, size: allocatable },
        })),
    );
  }

  hints(pod: Pod, container: Container | undefined): Hints {
    this.release();
    const wants =
      container === undefined ? exclusiveMemoryOfPod(pod) : exclusiveMemory(pod, container);
    if (wants.size === 0) return new Map();
    const { uid = '' } = pod.metadata;
    const containers = container === undefined ? startOrder(pod) : [container];
    const before = containers.map(({ name }) => this.#given.get(uid)?.get(name));
    const own = before.find((blocks) => blocks !== undefined);
    if (own !== undefined) return againHints(own, wants);
    const list = this.#hintsFor(pod, wants);
    // Where nothing can be given, all resources are silent, as upstream's are.
    return list.length === 0 ? new Map() : new Map([...wants.keys()].map((name) => [name, list]));
  }

  #hintsFor(pod: Pod, wants: Wants): readonly Hint[] {
    return memoryHints(this.#map, wants, (mask, name) => this.#reusable(pod, mask, name));
  }

  /** What is left of what init containers of the pod have on exactly these nodes. */
  #reusable(pod: Pod, mask: Mask, type: string): number {
    const { uid = '' } = pod.metadata;
    const blocks = initContainersOf(pod)
      .filter((container) => isPassing(pod, container))
      .flatMap(({ name }) => this.blocksOf(uid, name));
    return blocks
      .filter((block) => block.type === type && maskOf(block.numaAffinity) === mask)
      .reduce((sum, { size }) => sum + size, 0);
  }

  async allocate(
    pod: Pod,
    container: Container,
    { hint }: { readonly hint: Hint },
  ): Promise<Refusal | undefined> {
    const wants = exclusiveMemory(pod, container);
    if (wants.size === 0) return undefined;
    this.release();
    this.counts.requests += 1;
    const { uid = '' } = pod.metadata;
    if (this.#given.get(uid)?.has(container.name) === true) return undefined;
    const place = this.#placeFor(pod, wants, hint);
    if (typeof place === 'string') {
      this.counts.errors += 1;
      return unexpected(`[memorymanager] ${place}`);
    }
    this.#insert(pod, container, wants, nodesOf(place));
    return undefined;
  }

  /** A text instead: why it cannot be given. */
  #placeFor(pod: Pod, wants: Wants, hint: Hint): Mask | string {
    let best = hint;
    if (hint.mask === undefined) {
      const found = bestHint(this.#hintsFor(pod, wants));
      if (found === undefined) {
        return 'failed to get the default NUMA affinity, no NUMA nodes with enough memory is available';
      }
      if (hint.preferred && !found.preferred) return 'failed to find the default preferred hint';
      best = found;
    }
    const mask = best.mask ?? 0n;
    if (!isRoomy(this.#map, mask, wants)) {
      const wider = this.#hintsFor(pod, wants).filter((one) => ((one.mask ?? 0n) & mask) === mask);
      const found = bestHint(wider);
      if (found === undefined)
        return 'failed to find NUMA nodes to extend the current topology hint';
      if (best.preferred && !found.preferred) return 'failed to find the extended preferred hint';
      best = found;
    }
    const place = best.mask ?? 0n;
    return isMixed(this.#map, place) ? 'preferred hint violates NUMA node allocation' : place;
  }

  #insert(pod: Pod, container: Container, wants: Wants, nodes: readonly number[]): void {
    const { uid = '' } = pod.metadata;
    const own = this.#given.get(uid) ?? new Map<string, readonly Block[]>();
    this.#given.set(uid, own);
    const blocks = [...wants].map(([type, size]) => ({ numaAffinity: nodes, type, size }));
    for (const block of blocks) takeOver(pod, container, own, block);
    this.#given.set(uid, own.set(container.name, blocks));
    this.#write();
  }

  /** A container runs: what init containers before it had is nobody's any more. */
  started(pod: Pod, container: Container): void {
    const { uid = '' } = pod.metadata;
    const own = this.#given.get(uid);
    if (own === undefined) return;
    const order = startOrder(pod);
    const at = order.findIndex(({ name }) => name === container.name);
    const over = order.slice(0, at).filter((each) => isPassing(pod, each));
    const isChanged = over.map(({ name }) => own.delete(name)).includes(true);
    if (isChanged) this.#write();
  }

  release(): void {
    const pods = this.#deps.activePods();
    if (pods === undefined) return;
    const known = new Set(pods.map(({ metadata }) => metadata.uid ?? ''));
    const gone = [...this.#given.keys()].filter((uid) => !known.has(uid));
    for (const uid of gone) this.#given.delete(uid);
    if (gone.length > 0) this.#write();
  }

  #count(): MemoryMap {
    const blocks = [...this.#given.values()].flatMap((own) => [...own.values()].flat());
    return memoryMap(this.#deps.topology, this.#reserved, blocks);
  }

  #read(): void {
    const kept = this.#deps.file.read();
    for (const [uid, containers] of Object.entries(kept?.entries ?? {})) {
      this.#given.set(uid, new Map(Object.entries(containers)));
    }
    this.#map = this.#count();
    if (kept !== undefined && !isSameMap(kept.machineState, this.#map)) {
      throw new Error(
        'start memory manager error: [memorymanager] the expected machine state is different ' +
          'from the real one, please drain node and remove policy state file',
      );
    }
    this.#write();
  }

  #write(): void {
    this.#map = this.#count();
    const entries = [...this.#given].map(([uid, own]) => [uid, Object.fromEntries(own)] as const);
    const state = { machineState: this.#map, entries: Object.fromEntries(entries) };
    this.#deps.file.write(state);
  }
}

/** What was given before this kubelet began; silent where it is not what is wanted. */
function againHints(blocks: readonly Block[], wants: Wants): Hints {
  const isSame =
    blocks.length === wants.size && blocks.every(({ type, size }) => wants.get(type) === size);
  if (!isSame) return new Map();
  return new Map(
    blocks.map(({ type, numaAffinity }) => [
      type,
      [{ mask: maskOf(numaAffinity), preferred: true }],
    ]),
  );
}

/** Init containers before it have less by what this container takes over on the same nodes. */
function takeOver(
  pod: Pod,
  container: Container,
  own: Map<string, readonly Block[]>,
  taken: Block,
): void {
  let open = taken.size;
  for (const init of initContainersOf(pod)) {
    if (init.name === container.name) return;
    if (!isPassing(pod, init)) continue;
    const blocks = (own.get(init.name) ?? []).map((block) => {
      const isShared =
        block.type === taken.type && maskOf(block.numaAffinity) === maskOf(taken.numaAffinity);
      const part = isShared ? Math.min(open, block.size) : 0;
      open -= part;
      return { ...block, size: block.size - part };
    });
    if (own.has(init.name)) own.set(init.name, blocks);
  }
}
