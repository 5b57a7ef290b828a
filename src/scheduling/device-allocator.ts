/**
 * Finds devices for resource claims on a node: for each request as many as it asks for, of its
 * class, that its selectors accept, that nobody else has, and that together satisfy the claim's
 * constraints.
 *
 * `device-pools.ts` says which devices there are, `device-search.ts` chooses, and here the claims
 * are read and allocations made: which devices, how they are set up, and from which nodes they can
 * be reached. Devices that may be shared are given in parts: `device-capacity.ts`.
 *
 * Behaviour: kubernetes.io, "Dynamic Resource Allocation"; KEP-4381, KEP-4816, KEP-5055, KEP-5075.
 */
import { objectKey } from '#api/object.ts';
import { CelError, type CelValue } from '#cel';
import { jsonEqual } from '#kit/json-equal.ts';
import {
  compileDeviceExpression,
  deviceValue,
  type Matched,
} from '#resources/resource/device-expression.ts';
import type { NodeSelector, NodeSelectorRequirement } from '#resources/types/core-v1.ts';
import type {
  CapacityRequirements,
  Device,
  DeviceSelector,
  DeviceToleration,
  ResourceClaim,
} from '#resources/types/resource-v1.ts';
import { AllocationError } from './allocation-error.ts';
import type { Cluster } from './cluster.ts';
import { amountsOf, Consumed, formatAmounts } from './device-capacity.ts';
import { type Candidate, type Counters, DevicePools, deviceId, type Pool } from './device-pools.ts';
import {
  type Choice,
  type ClaimWants,
  DeviceSearch,
  resultsMax,
  type Want,
} from './device-search.ts';
import type { NodeInfo } from './node-info.ts';
import type { AllocatedDevice, DeviceAllocation } from './plugin.ts';

export const allocatorLimits = {
  /** Choices tried for one node for each millisecond that upstream would search. */
  choicesPerMs: 1,
  /** The time that upstream searches on one node, where no configuration says otherwise. */
  filterTimeoutMs: 10_000,
} as const;

/** What is asked for on a node: claims as they are, and such as are only about to be made. */
export type ClaimToAllocate = Pick<ResourceClaim, 'metadata' | 'spec'>;

export type Allocated =
  | { readonly ok: true; readonly allocations: readonly DeviceAllocation[] }
  | { readonly ok: false; readonly reason: string };

interface Ask {
  readonly deviceClassName: string;
  readonly allocationMode?: string | undefined;
  readonly count?: number | undefined;
  readonly adminAccess?: boolean | undefined;
  readonly capacity?: CapacityRequirements | undefined;
  readonly selectors?: readonly DeviceSelector[] | undefined;
  readonly tolerations?: readonly DeviceToleration[] | undefined;
}

export interface AllocatorOptions {
  /** How long a node may be searched; 0: as long as it takes. */
  readonly filterTimeoutMs: number;
}

/** Facts about devices for one pod, worked out once and asked for each node. */
export class DeviceAllocator {
  readonly #cluster: Cluster;
  readonly #pools: DevicePools;
  readonly #choicesMax: number;
  readonly #taken = new Set<string>();
  readonly #consumed = new Consumed();
  /** What is left. */
  readonly #counters: Counters;

  constructor(cluster: Cluster, { filterTimeoutMs }: AllocatorOptions) {
    this.#cluster = cluster;
    this.#choicesMax =
      filterTimeoutMs === 0
        ? Number.POSITIVE_INFINITY
        : filterTimeoutMs * allocatorLimits.choicesPerMs;
    this.#pools = new DevicePools(cluster.facts.resourceSlices.list());
    this.#counters = this.#pools.counters();
    const inUse = [...allocatedDevices(cluster.facts.resourceClaims.list())];
    for (const one of [...inUse, ...cluster.assumptions.devices()]) {
      if (one.adminAccess) continue;
      const id = deviceId(one.driver, one.pool, one.device);
      if (one.consumedCapacity === undefined) this.#taken.add(id);
      else this.#consumed.add(id, amountsOf(one.consumedCapacity));
    }
    this.#useUp();
  }

  /** One allocation for each claim, or why the node cannot give them; throws `AllocationError`. */
  allocate(claims: readonly ClaimToAllocate[], node: NodeInfo): Allocated {
    const pools = this.#pools.reachableFrom(node);
    const wants = claims.map((claim, index) => this.#wants(claim, index, pools));
    const candidates = pools.flatMap((pool) => pool.candidates);
    const chosen = new DeviceSearch(wants, candidates, {
      taken: this.#taken,
      consumed: this.#consumed.copy(),
      counters: new Map(this.#counters),
      choicesMax: this.#choicesMax,
    }).run();
    if (chosen === undefined) {
      const invalid = pools.some(({ state }) => state === 'invalid');
      const reason = 'cannot allocate all claims';
      return { ok: false, reason: invalid ? 'invalid resource pools were encountered' : reason };
    }
    const allocations = chosen.map((choices, index) => {
      const claim = claims[index];
      const config = claim === undefined ? [] : this.#configs(claim, choices);
      return { devices: choices.map(resultOf), nodeSelector: reachOf(choices, node), config };
    });
    return { ok: true, allocations };
  }

  /** Devices of the class that the node reaches, and how many of them somebody has. */
  count(className: string, node: NodeInfo): { readonly total: number; readonly used: number } {
    const deviceClass = this.#cluster.facts.deviceClasses.get(className);
    const selectors = selectorsOf(`class ${className}`, deviceClass?.spec.selectors);
    const devices = this.#pools
      .reachableFrom(node)
      .flatMap(({ candidates }) => candidates)
      .filter(({ driver, device }) => selectors.every((each) => each(driver, device)));
    const used = devices.filter(({ id }) => this.#taken.has(id) || this.#consumed.has(id));
    return { total: devices.length, used: used.length };
  }

  #wants(claim: ClaimToAllocate, index: number, pools: readonly Pool[]): ClaimWants {
    const { requests = [], constraints = [] } = claim.spec.devices ?? {};
    const key = objectKey(claim);
    const want = (request: string, ask: Ask): Want =>
      this.#want(ask, { claim: index, key, request, pools });
    const ways = requests.map(({ name, exactly, firstAvailable = [] }) =>
      exactly !== undefined
        ? [want(name, exactly)]
        : firstAvailable.map((one) => want(`${name}/${one.name}`, one)),
    );
    const least = ways
      .map((way) => Math.min(...way.map(({ all, count }) => all?.length ?? count)))
      .reduce((sum, count) => sum + count, 0);
    if (least > resultsMax) {
      throw new AllocationError(
        `claim ${key}: number of requested devices ${least} exceeds the claim limit of ${resultsMax}`,
      );
    }
    return { key, ways, constraints };
  }

  #want(
    ask: Ask,
    of: {
      readonly claim: number;
      readonly key: string;
      readonly request: string;
      readonly pools: readonly Pool[];
    },
  ): Want {
    const { claim, key, request, pools } = of;
    const { deviceClassName, capacity, tolerations = [] } = ask;
    const deviceClass = this.#cluster.facts.deviceClasses.get(deviceClassName);
    const selectors = [
      ...selectorsOf(`class ${deviceClassName}`, deviceClass?.spec.selectors),
      ...selectorsOf(`claim ${key}`, ask.selectors),
    ];
    const known = new Map<string, boolean>();
    const accepts = (candidate: Candidate): boolean => {
      let accepted = known.get(candidate.id);
      if (accepted === undefined) {
        accepted = selectors.every((each) => each(candidate.driver, candidate.device));
        known.set(candidate.id, accepted);
      }
      return accepted;
    };
    const said = request.slice(request.indexOf('/') + 1);
    const what = `claim ${key}, request ${said}`;
    const all = ask.allocationMode === 'All' ? allOf(pools, { what, accepts }) : undefined;
    return {
      claim,
      request,
      said,
      count: ask.count ?? 1,
      // Parts of what another has left are for who asks for them.
      all: all?.filter((one) => this.#consumed.room(one, capacity?.requests) !== undefined),
      adminAccess: ask.adminAccess ?? false,
      capacity: capacity?.requests,
      tolerations,
      accepts,
    };
  }

  #useUp(): void {
    for (const { id, counters } of this.#pools.candidates()) {
      if (!this.#taken.has(id) && !this.#consumed.has(id)) continue;
      for (const [key, amount] of counters) {
        this.#counters.set(key, (this.#counters.get(key) ?? 0n) - amount);
      }
    }
  }

  /** Of classes once for all their requests, of the claim where it concerns what was chosen. */
  #configs(claim: ClaimToAllocate, choices: readonly Choice[]): readonly unknown[] {
    const { requests = [], config = [] } = claim.spec.devices ?? {};
    const chosen = new Set(choices.map(({ want }) => want.request));
    const byClass = new Map<string, string[]>();
    for (const { name, exactly, firstAvailable = [] } of requests) {
      const alternative = firstAvailable.find((one) => chosen.has(`${name}/${one.name}`));
      const className = exactly?.deviceClassName ?? alternative?.deviceClassName ?? '';
      const request = alternative === undefined ? name : `${name}/${alternative.name}`;
      byClass.set(className, [...(byClass.get(className) ?? []), request]);
    }
    const ofClasses = [...byClass].flatMap(([className, names]) => {
      const deviceClass = this.#cluster.facts.deviceClasses.get(className);
      return (deviceClass?.spec.config ?? []).map((one) => ({
        source: 'FromClass',
        requests: names,
        ...one,
      }));
    });
    const names = new Set(requests.map(({ name }) => name));
    const concerns = (wanted: readonly string[] = []): boolean =>
      wanted.length === 0 || wanted.some((one) => names.has(one) || chosen.has(one));
    const ofClaim = config.filter((one) => concerns(one.requests));
    return [...ofClasses, ...ofClaim.map((one) => ({ source: 'FromClaim', ...one }))];
  }
}

function allOf(
  pools: readonly Pool[],
  { what, accepts }: { readonly what: string; readonly accepts: (candidate: Candidate) => boolean },
): readonly Candidate[] {
  const all: Candidate[] = [];
  for (const { id, state, candidates } of pools) {
    if (state !== 'complete') {
      const now = state === 'incomplete' ? 'being updated' : 'invalid';
      throw new AllocationError(
        `${what}: asks for all devices, but resource pool ${id} is currently ${now}`,
      );
    }
    for (const candidate of candidates) if (accepts(candidate)) all.push(candidate);
  }
  return all;
}

function* allocatedDevices(claims: Iterable<ResourceClaim>): Iterable<AllocatedDevice> {
  for (const { status } of claims) yield* status?.allocation?.devices?.results ?? [];
}

function resultOf({ want, candidate, consumption }: Choice): AllocatedDevice {
  const { bindingConditions = [], bindingFailureConditions = [] } = candidate.device;
  return {
    request: want.request,
    driver: candidate.driver,
    pool: candidate.pool,
    device: candidate.device.name,
    ...(want.adminAccess ? { adminAccess: true } : {}),
    ...(want.tolerations.length > 0 ? { tolerations: want.tolerations } : {}),
    ...(candidate.shared ? { consumedCapacity: formatAmounts(consumption) } : {}),
    ...(bindingConditions.length > 0 ? { bindingConditions } : {}),
    ...(bindingFailureConditions.length > 0 ? { bindingFailureConditions } : {}),
  };
}

/** From where all of them can be reached; undefined: from everywhere. */
function reachOf(choices: readonly Choice[], node: NodeInfo): NodeSelector | undefined {
  const fields: NodeSelectorRequirement[] = [];
  const expressions: NodeSelectorRequirement[] = [];
  const add = (to: NodeSelectorRequirement[], more: readonly NodeSelectorRequirement[] = []) => {
    for (const one of more) if (!to.some((known) => jsonEqual(known, one))) to.push(one);
  };
  for (const { where, device } of choices.map(({ candidate }) => candidate)) {
    if (where.nodeName !== undefined || device.bindsToNode === true) {
      const field = { key: 'metadata.name', operator: 'In', values: [node.name] };
      return { nodeSelectorTerms: [{ matchFields: [field] }] };
    }
    // A slice names one term at most.
    const [term] = where.nodeSelector?.nodeSelectorTerms ?? [];
    add(fields, term?.matchFields);
    add(expressions, term?.matchExpressions);
  }
  if (fields.length + expressions.length === 0) return undefined;
  const term = {
    ...(fields.length === 0 ? {} : { matchFields: fields }),
    ...(expressions.length === 0 ? {} : { matchExpressions: expressions }),
  };
  return { nodeSelectorTerms: [term] };
}

type Accepts = (driver: string, device: Device) => boolean;

/** Selectors as tests of a device; they throw `AllocationError` that says whose they are. */
function selectorsOf(of: string, selectors: readonly DeviceSelector[] = []): readonly Accepts[] {
  return selectors.flatMap(({ cel }, index) => {
    if (cel === undefined) return [];
    const compiled = compileDeviceExpression(cel.expression, { stored: true });
    const said = `${of}: selector #${index}: CEL`;
    if (!compiled.ok) throw new AllocationError(`${said} compile error: ${compiled.error}`);
    return (driver: string, device: Device): boolean => {
      const matched = judge(compiled.matches, driver, device);
      if (typeof matched === 'boolean') return matched;
      throw new AllocationError(`${said} runtime error: ${matched.error}`);
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
