/**
 * Finds devices for resource claims on a node: for each request as many as it asks for, of its
 * class, that its selectors accept, that nobody else has, and that together satisfy the claim's
 * constraints. Backtracks where a choice leads nowhere, within a limit.
 *
 * Devices of a node are those of its own slices, of slices for all nodes, and of slices whose node
 * selector matches. Of a pool only the newest generation counts. Where alternatives are listed the
 * first that can be had is taken. Devices that may be shared are given in parts:
 * `device-capacity.ts`.
 *
 * Behaviour: kubernetes.io, "Dynamic Resource Allocation"; KEP-4381, KEP-4816, KEP-5055, KEP-5075.
 */
import { objectKey } from '#api/object.ts';
import { quantity } from '#api/quantity.ts';
import { CelError, type CelValue } from '#cel';
import {
  compileDeviceExpression,
  deviceValue,
  type Matched,
} from '#resources/resource/device-expression.ts';
import type {
  CapacityRequirements,
  Device,
  DeviceConstraint,
  DeviceSelector,
  DeviceToleration,
  ResourceClaim,
  ResourceSlice,
} from '#resources/types/resource-v1.ts';
import type { Cluster } from './cluster.ts';
import { type Amounts, amountsOf, Consumed, formatAmounts } from './device-capacity.ts';
import type { NodeInfo } from './node-info.ts';
import { matchesSelector } from './node-selector.ts';
import type { AllocatedDevice, DeviceAllocation } from './plugin.ts';
import { SelectorError } from './selector-error.ts';
import { tolerates } from './tolerations.ts';

export const allocatorLimits = {
  /** Choices tried for one node before it counts as unable. */
  choicesMax: 10_000,
} as const;

interface Candidate {
  readonly id: string;
  readonly driver: string;
  readonly pool: string;
  readonly device: Device;
  readonly nodeLocal: boolean;
  readonly counters: readonly (readonly [string, bigint])[];
  /** Several claims may have it, each a part of its capacity. */
  readonly shared: boolean;
}

interface Want {
  readonly request: string;
  readonly count: number | 'All';
  readonly adminAccess: boolean;
  readonly capacity: CapacityRequirements['requests'];
  readonly tolerations: readonly DeviceToleration[];
  readonly accepts: (candidate: Candidate) => boolean;
}

/** Facts about devices for one pod, worked out once and asked for each node. */
export class DeviceAllocator {
  readonly #cluster: Cluster;
  readonly #slices: readonly ResourceSlice[];
  readonly #taken = new Set<string>();
  readonly #consumed = new Consumed();
  /** `driver/pool/set/counter` → what is left. */
  readonly #counters = new Map<string, bigint>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#slices = newest([...cluster.facts.resourceSlices.list()]);
    for (const { spec } of this.#slices) {
      for (const { name, counters } of spec.sharedCounters ?? []) {
        for (const [counter, { value }] of Object.entries(counters)) {
          const key = `${spec.driver}/${spec.pool.name}/${name}/${counter}`;
          this.#counters.set(key, quantity(value).nano);
        }
      }
    }
    const inUse = [...allocatedDevices(cluster.facts.resourceClaims.list())];
    for (const one of [...inUse, ...cluster.assumptions.devices()]) {
      if (one.adminAccess) continue;
      const id = idOf(one.driver, one.pool, one.device);
      if (one.consumedCapacity === undefined) this.#taken.add(id);
      else this.#consumed.add(id, amountsOf(one.consumedCapacity));
    }
    this.#useUp();
  }

  /** One allocation for each claim, or undefined where the node cannot give them all. */
  allocate(
    claims: readonly ResourceClaim[],
    node: NodeInfo,
  ): readonly DeviceAllocation[] | undefined {
    const candidates = this.#candidates(node);
    const search = new Search(candidates, {
      taken: new Set(this.#taken),
      consumed: this.#consumed.copy(),
      counters: new Map(this.#counters),
    });
    const allocations: DeviceAllocation[] = [];
    for (const claim of claims) {
      const allocation = this.#allocateOne(claim, search, node);
      if (allocation === undefined) return undefined;
      allocations.push(allocation);
    }
    return allocations;
  }

  #allocateOne(claim: ResourceClaim, search: Search, node: NodeInfo): DeviceAllocation | undefined {
    const { requests = [], constraints = [] } = claim.spec.devices ?? {};
    // Each request has one way, or several alternatives of which the first that works is taken.
    const ways = requests.map(({ name, exactly, firstAvailable = [] }) =>
      exactly !== undefined
        ? [this.#want(claim, name, exactly)]
        : firstAvailable.map((one) => this.#want(claim, `${name}/${one.name}`, one)),
    );
    const chosen = search.run(ways, constraints);
    if (chosen === undefined) return undefined;
    const devices = chosen.map(({ want, candidate, consumption }) => ({
      request: want.request,
      driver: candidate.driver,
      pool: candidate.pool,
      device: candidate.device.name,
      ...(want.adminAccess ? { adminAccess: true } : {}),
      ...(want.tolerations.length > 0 ? { tolerations: want.tolerations } : {}),
      ...(candidate.shared ? { consumedCapacity: formatAmounts(consumption) } : {}),
      ...conditionsOf(candidate.device),
    }));
    const local = chosen.some(({ candidate }) => candidate.nodeLocal);
    return { devices, nodeName: local ? node.name : undefined, config: this.#configs(claim) };
  }

  #want(
    claim: ResourceClaim,
    request: string,
    ask: {
      readonly deviceClassName: string;
      readonly allocationMode?: string | undefined;
      readonly count?: number | undefined;
      readonly adminAccess?: boolean | undefined;
      readonly capacity?: CapacityRequirements | undefined;
      readonly selectors?: readonly DeviceSelector[] | undefined;
      readonly tolerations?: readonly DeviceToleration[] | undefined;
    },
  ): Want {
    const deviceClass = this.#cluster.facts.deviceClasses.get(ask.deviceClassName);
    const accepted = [
      ...selectorsOf(`class ${ask.deviceClassName}`, deviceClass?.spec.selectors),
      ...selectorsOf(`claim ${objectKey(claim)}`, ask.selectors),
    ];
    const { tolerations = [] } = ask;
    return {
      request,
      count: ask.allocationMode === 'All' ? 'All' : (ask.count ?? 1),
      adminAccess: ask.adminAccess ?? false,
      capacity: ask.capacity?.requests,
      tolerations,
      accepts: ({ driver, device }) => {
        const barred = (device.taints ?? []).some(
          (taint) => taint.effect !== 'None' && !tolerations.some((one) => tolerates(one, taint)),
        );
        if (barred) return false;
        return accepted.every((accepts) => accepts(driver, device));
      },
    };
  }

  #candidates(node: NodeInfo): readonly Candidate[] {
    return this.#slices.flatMap(({ spec }) => {
      const { driver, pool, devices = [] } = spec;
      return devices.flatMap((device) => {
        const where = spec.perDeviceNodeSelection === true ? device : spec;
        if (!isFor(where, node)) return [];
        const id = idOf(driver, pool.name, device.name);
        const nodeLocal = where.nodeName !== undefined;
        const counters = consumption(driver, pool.name, device);
        const shared = device.allowMultipleAllocations === true;
        return [{ id, driver, pool: pool.name, device, nodeLocal, counters, shared }];
      });
    });
  }

  #useUp(): void {
    for (const { spec } of this.#slices) {
      for (const device of spec.devices ?? []) {
        const id = idOf(spec.driver, spec.pool.name, device.name);
        if (!this.#taken.has(id) && !this.#consumed.has(id)) continue;
        for (const [key, amount] of consumption(spec.driver, spec.pool.name, device)) {
          this.#counters.set(key, (this.#counters.get(key) ?? 0n) - amount);
        }
      }
    }
  }

  #configs(claim: ResourceClaim): readonly unknown[] {
    const { requests = [], config = [] } = claim.spec.devices ?? {};
    const ofClasses = requests.flatMap(({ name, exactly }) => {
      const deviceClass = this.#cluster.facts.deviceClasses.get(exactly?.deviceClassName ?? '');
      return (deviceClass?.spec.config ?? []).map((one) => ({
        source: 'FromClass',
        requests: [name],
        ...one,
      }));
    });
    return [...ofClasses, ...config.map((one) => ({ source: 'FromClaim', ...one }))];
  }
}

interface Choice {
  readonly want: Want;
  readonly candidate: Candidate;
  readonly consumption: Amounts;
}

interface Used {
  readonly taken: Set<string>;
  readonly consumed: Consumed;
  readonly counters: Map<string, bigint>;
}

/** Chooses devices one by one; what it has chosen stays taken for the next claim. */
class Search {
  readonly #candidates: readonly Candidate[];
  readonly #taken: Set<string>;
  readonly #consumed: Consumed;
  readonly #counters: Map<string, bigint>;
  #constraints: readonly DeviceConstraint[] = [];
  #choices: Choice[] = [];
  #tried = 0;

  constructor(candidates: readonly Candidate[], { taken, consumed, counters }: Used) {
    this.#candidates = candidates;
    this.#taken = taken;
    this.#consumed = consumed;
    this.#counters = counters;
  }

  run(
    ways: readonly (readonly Want[])[],
    constraints: readonly DeviceConstraint[],
  ): readonly Choice[] | undefined {
    this.#constraints = constraints;
    this.#choices = [];
    return this.#fill(ways, 0) ? this.#choices : undefined;
  }

  #fill(ways: readonly (readonly Want[])[], index: number): boolean {
    const alternatives = ways[index];
    if (alternatives === undefined) return true;
    return alternatives.some((want) => {
      if (want.count !== 'All')
        return this.#take(want, want.count, 0, () => this.#fill(ways, index + 1));
      const all = this.#candidates.filter((candidate) => want.accepts(candidate));
      if (all.length === 0) return false;
      return this.#takeThese(want, all, 0, () => this.#fill(ways, index + 1));
    });
  }

  #take(want: Want, count: number, from: number, next: () => boolean): boolean {
    if (count === 0) return next();
    for (let index = from; index < this.#candidates.length; index++) {
      const candidate = this.#candidates[index];
      if (candidate === undefined || !this.#choose(want, candidate)) continue;
      // Of a shared device the same claim may have several parts.
      const from = candidate.shared ? index : index + 1;
      if (this.#take(want, count - 1, from, next)) return true;
      this.#undo();
    }
    return false;
  }

  #takeThese(want: Want, all: readonly Candidate[], index: number, next: () => boolean): boolean {
    const candidate = all[index];
    if (candidate === undefined) return next();
    if (!this.#choose(want, candidate)) return false;
    if (this.#takeThese(want, all, index + 1, next)) return true;
    this.#undo();
    return false;
  }

  #choose(want: Want, candidate: Candidate): boolean {
    this.#tried += 1;
    if (this.#tried > allocatorLimits.choicesMax) return false;
    if (!want.adminAccess && this.#taken.has(candidate.id)) return false;
    if (!want.accepts(candidate)) return false;
    const consumption = this.#consumed.room(candidate, want.capacity);
    if (consumption === undefined) return false;
    const counted = this.#consumed.has(candidate.id);
    const enough = candidate.counters.every(
      ([key, amount]) => counted || (this.#counters.get(key) ?? 0n) >= amount,
    );
    if (!want.adminAccess && !enough) return false;
    this.#choices.push({ want, candidate, consumption });
    if (!this.#constraints.every((constraint) => this.#holds(constraint))) {
      this.#choices.pop();
      return false;
    }
    if (!want.adminAccess) this.#use(candidate, consumption);
    return true;
  }

  #undo(): void {
    const choice = this.#choices.pop();
    if (choice === undefined || choice.want.adminAccess) return;
    const { candidate, consumption } = choice;
    if (candidate.shared) this.#consumed.remove(candidate.id, consumption);
    else this.#taken.delete(candidate.id);
    if (!this.#consumed.has(candidate.id)) this.#count(candidate, 1n);
  }

  #use(candidate: Candidate, consumption: Amounts): void {
    // What a shared device takes of its counters it takes once.
    if (!this.#consumed.has(candidate.id)) this.#count(candidate, -1n);
    if (candidate.shared) this.#consumed.add(candidate.id, consumption);
    else this.#taken.add(candidate.id);
  }

  #count({ counters }: Candidate, times: 1n | -1n): void {
    for (const [key, amount] of counters) {
      this.#counters.set(key, (this.#counters.get(key) ?? 0n) + times * amount);
    }
  }

  #holds({ requests = [], matchAttribute, distinctAttribute }: DeviceConstraint): boolean {
    const concerned = this.#choices.filter(({ want: { request } }) => {
      const parent = request.split('/')[0] ?? '';
      return requests.length === 0 || requests.includes(request) || requests.includes(parent);
    });
    const name = matchAttribute ?? distinctAttribute ?? '';
    const values = concerned.map(({ candidate }) => attributeText(candidate, name));
    if (values.includes(undefined)) return false;
    const different = new Set(values).size;
    return matchAttribute !== undefined ? different <= 1 : different === values.length;
  }
}

function idOf(driver: string, pool: string, device: string): string {
  return `${driver}/${pool}/${device}`;
}

function newest(slices: readonly ResourceSlice[]): readonly ResourceSlice[] {
  const generations = new Map<string, number>();
  const keyOf = ({ spec }: ResourceSlice): string => `${spec.driver}/${spec.pool.name}`;
  for (const slice of slices) {
    const key = keyOf(slice);
    generations.set(key, Math.max(generations.get(key) ?? 0, slice.spec.pool.generation));
  }
  return slices
    .filter((slice) => slice.spec.pool.generation === generations.get(keyOf(slice)))
    .sort((left, right) => ((left.metadata.name ?? '') < (right.metadata.name ?? '') ? -1 : 1));
}

function* allocatedDevices(claims: Iterable<ResourceClaim>): Iterable<AllocatedDevice> {
  for (const { status } of claims) yield* status?.allocation?.devices?.results ?? [];
}

function isFor(
  where: Pick<Device, 'nodeName' | 'allNodes' | 'nodeSelector'>,
  node: NodeInfo,
): boolean {
  if (where.allNodes === true) return true;
  if (where.nodeName !== undefined) return where.nodeName === node.name;
  return where.nodeSelector !== undefined && matchesSelector(where.nodeSelector, node);
}

function consumption(
  driver: string,
  pool: string,
  { consumesCounters = [] }: Device,
): readonly (readonly [string, bigint])[] {
  return consumesCounters.flatMap(({ counterSet, counters }) =>
    Object.entries(counters).map(
      ([name, { value }]) =>
        [`${driver}/${pool}/${counterSet}/${name}`, quantity(value).nano] as const,
    ),
  );
}

/** Names without a domain belong to the driver's. */
function attributeText({ driver, device }: Candidate, name: string): string | undefined {
  const attributes = device.attributes ?? {};
  const short = name.startsWith(`${driver}/`) ? name.slice(driver.length + 1) : name;
  const value = attributes[name] ?? attributes[short];
  return value === undefined ? undefined : JSON.stringify(value);
}

function conditionsOf({ bindingConditions = [], bindingFailureConditions = [] }: Device) {
  return {
    ...(bindingConditions.length > 0 ? { bindingConditions } : {}),
    ...(bindingFailureConditions.length > 0 ? { bindingFailureConditions } : {}),
  };
}

type Accepts = (driver: string, device: Device) => boolean;

/** Selectors as tests of a device; they throw `SelectorError` that says whose they are. */
function selectorsOf(of: string, selectors: readonly DeviceSelector[] = []): readonly Accepts[] {
  return selectors.flatMap(({ cel }, index) => {
    if (cel === undefined) return [];
    const compiled = compileDeviceExpression(cel.expression, { stored: true });
    const said = `${of}: selector #${index}: CEL`;
    if (!compiled.ok) throw new SelectorError(`${said} compile error: ${compiled.error}`);
    return (driver: string, device: Device): boolean => {
      const matched = judge(compiled.matches, driver, device);
      if (typeof matched === 'boolean') return matched;
      throw new SelectorError(`${said} runtime error: ${matched.error}`);
    };
  });
}

/** Devices do not change: a new state of one is a new object. */
const values = new WeakMap<Device, CelValue>();

function judge(matches: (device: CelValue) => Matched, driver: string, device: Device): Matched {
  let value = values.get(device);
  if (value === undefined) {
    try {
      value = deviceValue(driver, device);
    } catch (error) {
      if (error instanceof CelError) return { error: error.message };
      throw error;
    }
    values.set(device, value);
  }
  return matches(value);
}
