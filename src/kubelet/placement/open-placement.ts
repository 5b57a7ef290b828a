/**
 * Opens processors, memory and their alignment as the settings say, and tells what they do.
 *
 * Loaded only where a policy is set. Reads how the machine is built, and what was given before
 * from `cpu_manager_state` and `memory_manager_state`; what does not fit keeps the kubelet from
 * starting.
 */
import { join } from 'node:path';
import { addQuantities, compareQuantities, quantityValue } from '#api/quantity.ts';
import type { Runtime } from '#cri';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Slots } from '#kit/slots.ts';
import type { Container, Pod } from '#resources/types/core-v1.ts';
import type { Machine } from '../node/machine.ts';
import { withheldOf } from '../node/node-status.ts';
import { qosClassOf } from '../pods/qos.ts';
import type { KubeletSettings } from '../settings.ts';
import { cpuOptions } from './cpu-options.ts';
import { CpuPool, type CpuState } from './cpu-pool.ts';
import { CpuFollower } from './follow-cpus.ts';
import { mergeHints } from './hints.ts';
import type { Reserved } from './memory-map.ts';
import { MemoryPool, type MemoryState } from './memory-pool.ts';
import { ascending, formatNumbers } from './number-set.ts';
import type { ContainerPlace, NodePlacement } from './placement.ts';
import { placementMetrics } from './placement-metrics.ts';
import { type Alignment, Placer } from './placer.ts';
import type { Provider } from './provider.ts';
import { openStateFile, stateFiles } from './state-file.ts';
import { readTopology, type Topology } from './topology.ts';

export interface PlacementDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly runtime: Runtime;
  readonly machine: Machine;
  readonly settings: KubeletSettings;
  /** Where the state files are. */
  readonly rootDir: string;
  /** What the node has of memory and huge pages, as quantities. */
  readonly capacity: Readonly<Record<string, string>>;
  readonly devices: Provider;
  readonly turn: Slots;
  /** Pods whose end has not come; undefined as long as not all are known. */
  readonly activePods: () => readonly Pod[] | undefined;
  readonly spawn: (task: (signal: AbortSignal) => Promise<void>) => void;
}

/** Throws what an administrator has to mend. */
export function openPlacement(deps: PlacementDeps): NodePlacement {
  const { clock, log, runtime, settings, activePods } = deps;
  const topology = readTopology(deps.machine);
  const cpus = openCpus(deps, topology, () => follower.changed());
  const memory = openMemory(deps, topology);
  const follower = new CpuFollower({
    clock,
    log,
    runtime,
    cpusOf: (uid, container) => {
      const isKnown = activePods()?.some(({ metadata }) => metadata.uid === uid) === true;
      return isKnown ? formatNumbers(cpus?.cpusOf(uid, container) ?? []) : undefined;
    },
    release: () => cpus?.release(),
  });
  if (cpus !== undefined) {
    deps.spawn((signal) => follower.run(settings.cpuManagerReconcilePeriodMs, signal));
  }
  const providers = [deps.devices, cpus, memory].filter((each) => each !== undefined);
  const placer = new Placer({ clock, providers, turn: deps.turn }, alignmentOf(settings, topology));
  return new OpenPlacement({ settings, cpus, memory, follower, placer });
}

function openCpus(
  { settings, rootDir, activePods }: PlacementDeps,
  topology: Topology,
  onChange: () => void,
): CpuPool | undefined {
  const kept = { policy: settings.cpuManagerPolicy, manager: 'CPU' } as const;
  const file = openStateFile<CpuState>(join(rootDir, stateFiles.cpus), kept);
  if (settings.cpuManagerPolicy === 'none') {
    // Throws where a policy that was taken back may still have given something.
    file.read();
    return undefined;
  }
  const options = cpuOptions(settings);
  return new CpuPool({ topology, file, activePods, onChange }, options);
}

function openMemory(deps: PlacementDeps, topology: Topology): MemoryPool | undefined {
  const { settings, rootDir, activePods } = deps;
  const kept = { policy: settings.memoryManagerPolicy, manager: 'memory' } as const;
  const file = openStateFile<MemoryState>(join(rootDir, stateFiles.memory), kept);
  if (settings.memoryManagerPolicy === 'None') {
    file.read();
    return undefined;
  }
  const reserved = reservedMemory(settings, topology, deps.capacity);
  return new MemoryPool({ topology, file, activePods }, reserved);
}

/** What is kept from pods has to be the same, told by node and told for the whole machine. */
export function reservedMemory(
  settings: KubeletSettings,
  topology: Topology,
  capacity: Readonly<Record<string, string>>,
): Reserved {
  const byNode = new Map<number, Map<string, number>>();
  const totals = new Map<string, string>();
  for (const { numaNode, limits } of settings.reservedMemory) {
    if (topology.nodes.every(({ id }) => id !== numaNode)) {
      throw new Error(
        `the reserved memory configuration references a NUMA node ${numaNode} ` +
          'that does not exist on this machine',
      );
    }
    const own = byNode.get(numaNode) ?? new Map<string, number>();
    byNode.set(numaNode, own);
    for (const [name, amount] of Object.entries(limits)) {
      own.set(name, (own.get(name) ?? 0) + quantityValue(amount));
      totals.set(name, addQuantities(totals.get(name) ?? '0', amount));
    }
  }
  for (const name of new Set(['memory', ...totals.keys()])) {
    const told = totals.get(name) ?? '0';
    const withheld = withheldOf(name, capacity[name] ?? '0', settings);
    const sum = withheld.reduce((all, part) => addQuantities(all, part), '0');
    if (compareQuantities(told, sum) === 0) continue;
    throw new Error(
      `the total amount "${told}" of type "${name}" is not equal to the value "${sum}" ` +
        'determined by Node Allocatable feature',
    );
  }
  return byNode;
}

const nodesMax = 8;

function alignmentOf(settings: KubeletSettings, topology: Topology): Alignment {
  const { topologyManagerPolicy: policy, topologyManagerScope: scope } = settings;
  if (policy === 'none') return undefined;
  const options = settings.topologyManagerPolicyOptions;
  for (const option of Object.keys(options)) {
    if (option === 'prefer-closest-numa-nodes' || option === 'max-allowable-numa-nodes') continue;
    throw new Error(`unknown Topology Manager Policy option: "${option}"`);
  }
  const most = Number(options['max-allowable-numa-nodes'] ?? nodesMax);
  if (!Number.isInteger(most)) {
    const text = options['max-allowable-numa-nodes'];
    throw new Error(
      `unable to convert policy option to integer "max-allowable-numa-nodes": ${text}`,
    );
  }
  if (most < nodesMax) {
    const name = '"max-allowable-numa-nodes"';
    throw new Error(`the minimum value of ${name} should not be less than ${nodesMax}`);
  }
  if (topology.nodes.length > most) {
    throw new Error(`unsupported on machines with more than ${most} NUMA Nodes`);
  }
  const preferClosest = options['prefer-closest-numa-nodes'] === 'true';
  return { policy, scope, nodes: topology.nodes, preferClosest, merge: mergeHints };
}

interface Parts {
  readonly settings: KubeletSettings;
  readonly cpus: CpuPool | undefined;
  readonly memory: MemoryPool | undefined;
  readonly follower: CpuFollower;
  readonly placer: Placer;
}

class OpenPlacement implements NodePlacement {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  admit(pod: Pod, options: { readonly signal: AbortSignal }) {
    return this.#parts.placer.admit(pod, options);
  }

  placeOf(pod: Pod, { name }: Container): ContainerPlace {
    const { cpus, memory } = this.#parts;
    const { uid = '' } = pod.metadata;
    const nodes = new Set(memory?.blocksOf(uid, name).flatMap(({ numaAffinity }) => numaAffinity));
    return {
      cpusetCpus: cpus === undefined ? undefined : formatNumbers(cpus.cpusOf(uid, name)),
      cpusetMems: nodes.size === 0 ? undefined : ascending(nodes).join(','),
      isExclusive: cpus?.ownOf(uid, name) !== undefined,
    };
  }

  made(pod: Pod, container: Container, containerId: string, { cpusetCpus }: ContainerPlace): void {
    if (cpusetCpus !== undefined) this.#parts.follower.made(containerId, cpusetCpus);
    this.#parts.memory?.started(pod, container);
  }

  ended(): void {
    this.#parts.follower.changed();
  }

  hasOwnCpus(pod: Pod): boolean {
    return this.#parts.cpus?.hasOwn(pod.metadata.uid ?? '') === true;
  }

  resizeProblem(pod: Pod, resource: 'cpu' | 'memory'): string | undefined {
    if (qosClassOf(pod) !== 'Guaranteed') return undefined;
    const isFixed = resource === 'cpu' ? this.#parts.cpus : this.#parts.memory;
    if (isFixed === undefined) return undefined;
    const manager = resource === 'cpu' ? 'CPU Manager' : 'Memory Manager';
    const policy = resource === 'cpu' ? 'static' : 'Static';
    return `Resize is infeasible for Guaranteed Pods alongside ${manager} policy "${policy}"`;
  }

  cpusOf(pod: Pod, container: string): readonly number[] {
    return ascending(this.#parts.cpus?.ownOf(pod.metadata.uid ?? '', container) ?? []);
  }

  memoryOf(pod: Pod, container: string) {
    return this.#parts.memory?.blocksOf(pod.metadata.uid ?? '', container) ?? [];
  }

  allocatable() {
    const { cpus, memory } = this.#parts;
    return { cpus: ascending(cpus?.allocatable ?? []), memory: memory?.allocatable ?? [] };
  }

  metrics() {
    return placementMetrics(this.#parts);
  }
}
