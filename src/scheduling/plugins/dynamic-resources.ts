/**
 * Devices: the claims of a pod must have theirs, or the node must be able to give them.
 *
 * A pod is not tried before all claims that it names are there. Those that are allocated already
 * tie it to nodes that can reach the devices. For the others `device-allocator.ts` looks for
 * devices, node by node; what it finds becomes steps that are taken with the place and written
 * before the pod is bound. What containers ask for by the name of an extended resource may stand
 * for devices too: then a claim is made (`extended-claims.ts`).
 *
 * Where requests list alternatives, nodes that give better ones are preferred.
 *
 * Behaviour: kubernetes.io, "Dynamic Resource Allocation".
 */
import { objectKey } from '#api/object.ts';
import type { ResourceClaim } from '#resources/types/resource-v1.ts';
import { AllocationError } from '../allocation-error.ts';
import type { Cluster } from '../cluster.ts';
import type { Allocated, ClaimToAllocate, DeviceAllocator } from '../device-allocator.ts';
import {
  type BackedResources,
  backedResources,
  earlierClaim,
  keyOfMade,
  planExtendedClaim,
} from '../extended-claims.ts';
import type { NodeInfo } from '../node-info.ts';
import { matchesSelector } from '../node-selector.ts';
import { openAllocator } from '../open-allocator.ts';
import {
  type BindStep,
  type ClaimToMake,
  fits,
  type NodeFilter,
  type NodeScorer,
  normalizeByMost,
  type Plugin,
  rejected,
  skip,
  type Verdict,
} from '../plugin.ts';
import type { PodFacts } from '../pod-facts.ts';

export interface DynamicResourcesArgs {
  /** How long devices may be looked for on one node; 0: as long as it takes. */
  readonly filterTimeoutMs: number;
}

const dynamicResourcesDefaults: DynamicResourcesArgs = { filterTimeoutMs: 10_000 };

/** Said of a node that does not reach the devices of an allocated claim. */
export const claimOutOfReach = 'resourceclaim not available on the node';
const elsewhere = rejected(claimOutOfReach, { unresolvable: true });
const leftOver = rejected('cannot schedule extended resource claim', { unresolvable: true });

/** Pods that may share one claim. */
const reservationsMax = 256;

/** Points for the first of several alternatives; each further one has one less. */
const alternativesMax = 8;

export function dynamicResources(args: DynamicResourcesArgs = dynamicResourcesDefaults): Plugin {
  return {
    name: 'DynamicResources',
    holdsBack: (pod, cluster) => {
      if (cluster === undefined || (pod.pod.spec?.resourceClaims ?? []).length === 0) return;
      const claims = claimsOf(pod, cluster);
      return typeof claims === 'string' ? claims : undefined;
    },
    filter: (pod, cluster) => {
      const wants = wantsOf(pod, cluster);
      if (wants === undefined) return skip;
      const reason = typeof wants === 'string' ? wants : whyNot(pod, wants, cluster);
      if (reason !== undefined) {
        return { do: 'reject', rejection: rejected(reason, { unresolvable: true }) };
      }
      if (typeof wants === 'string') return skip;
      return { do: 'ask', filter: new ClaimFilter(pod, wants, { cluster, args }) };
    },
    score: (pod, cluster) => {
      const wants = wantsOf(pod, cluster);
      if (wants === undefined || typeof wants === 'string') return undefined;
      if (!wants.claims.some(hasAlternatives)) return undefined;
      return new AlternativesScorer(new ClaimFilter(pod, wants, { cluster, args }), wants.claims);
    },
    helps: (change, pod, cluster) => {
      if (change.what === 'nodeAdded' || change.what === 'podChanged') return true;
      if (change.what !== 'fact') return false;
      if (change.kind === 'deviceSlice' || change.kind === 'deviceClass') return true;
      if (change.kind !== 'deviceClaim') return false;
      if (namesClaim(pod, change.key)) return true;
      // Somebody else's may have given devices back.
      const { status } = cluster.facts.resourceClaims.get(change.key) ?? {};
      return change.action !== 'Add' && status?.allocation === undefined;
    },
  };
}

function namesClaim({ pod, namespace }: PodFacts, key: string): boolean {
  const { resourceClaims = [] } = pod.spec ?? {};
  const { resourceClaimStatuses = [], extendedResourceClaimStatus } = pod.status ?? {};
  const made = [...resourceClaimStatuses, extendedResourceClaimStatus];
  return [...resourceClaims, ...made].some(
    (one) =>
      one?.resourceClaimName !== undefined && `${namespace}/${one.resourceClaimName}` === key,
  );
}

interface Wants {
  /** What the pod names. */
  readonly claims: readonly ResourceClaim[];
  /** What it asks for by names that stand for devices. */
  readonly backed: BackedResources;
  /** A claim that was made for such by an attempt that failed. */
  readonly leftOver: ResourceClaim | undefined;
}

/** Undefined: nothing; a text: why it cannot be had. */
function wantsOf(pod: PodFacts, cluster: Cluster): Wants | string | undefined {
  const backed = backedResources(pod.requests, cluster.facts.deviceClasses);
  const named = pod.pod.spec?.resourceClaims ?? [];
  if (named.length === 0 && backed.size === 0) return undefined;
  const claims = claimsOf(pod, cluster);
  if (typeof claims === 'string') return claims;
  if (claims.length === 0 && backed.size === 0) return undefined;
  const { resourceClaims } = cluster.facts;
  const leftOver =
    backed.size === 0
      ? undefined
      : earlierClaim(pod.pod, resourceClaims.listNamespace(pod.namespace));
  return { claims, backed, leftOver };
}

function hasAlternatives({ spec }: ResourceClaim): boolean {
  return (spec.devices?.requests ?? []).some(
    ({ firstAvailable = [] }) => firstAvailable.length > 0,
  );
}

class ClaimFilter implements NodeFilter {
  readonly #pod: PodFacts;
  readonly #backed: BackedResources;
  readonly #leftOver: ResourceClaim | undefined;
  readonly #allocated: readonly ResourceClaim[];
  readonly #wanting: readonly ResourceClaim[];
  readonly #cluster: Cluster;
  readonly #args: DynamicResourcesArgs;
  /** By the resources that nodes give as devices. */
  readonly #toMake = new Map<string, ClaimToMake>();
  #allocator: DeviceAllocator | undefined;

  constructor(
    pod: PodFacts,
    { claims, backed, leftOver }: Wants,
    { cluster, args }: { readonly cluster: Cluster; readonly args: DynamicResourcesArgs },
  ) {
    this.#pod = pod;
    this.#backed = backed;
    this.#leftOver = leftOver;
    this.#allocated = claims.filter(({ status }) => status?.allocation !== undefined);
    this.#wanting = claims.filter(({ status }) => status?.allocation === undefined);
    this.#cluster = cluster;
    this.#args = args;
  }

  check(node: NodeInfo): Verdict {
    if (this.#leftOver !== undefined) return leftOver;
    for (const { status } of this.#allocated) {
      const selector = status?.allocation?.nodeSelector;
      if (selector !== undefined && !matchesSelector(selector, node)) return elsewhere;
    }
    try {
      const found = this.allocate(node);
      return found.ok ? fits : rejected(found.reason, { unresolvable: true });
    } catch (error) {
      if (!(error instanceof AllocationError)) throw error;
      const message = error.late ? `node ${node.name}: ${error.message}` : error.message;
      return { ...rejected(message, { unresolvable: true }), fault: true };
    }
  }

  steps(node: NodeInfo): readonly BindStep[] {
    const found = this.allocate(node);
    if (!found.ok) return [];
    const reserve = this.#allocated.map((claim) => step(objectKey(claim), undefined));
    const allocate = this.#wanting.map((claim, index) =>
      step(objectKey(claim), found.allocations[index]),
    );
    const make = this.#claimFor(node);
    if (make === undefined) return [...reserve, ...allocate];
    const made = step(keyOfMade(this.#pod), found.allocations[this.#wanting.length]);
    return [...reserve, ...allocate, { ...made, make }];
  }

  remedies(node: NodeInfo): readonly string[] {
    const named = this.#wanting.map(objectKey);
    const wanted = this.#claimFor(node) === undefined ? [] : [...this.#backed.keys()];
    return [`devices on ${node.name} for claims ${[...named, ...wanted].join(', ')}`];
  }

  /** For the claims that have none, in their order, and then for the one to be made. */
  allocate(node: NodeInfo): Allocated {
    const make = this.#claimFor(node);
    const claims: readonly ClaimToAllocate[] =
      make === undefined ? this.#wanting : [...this.#wanting, claimToMake(this.#pod, make)];
    if (claims.length === 0) return { ok: true, allocations: [] };
    this.#allocator ??= openAllocator(this.#cluster, this.#args);
    return this.#allocator.allocate(claims, node);
  }

  /** Undefined where the node has a device plugin for all that the pod asks for. */
  #claimFor({ allocatable }: NodeInfo): ClaimToMake | undefined {
    const wanted = [...this.#backed].filter(([name]) => !allocatable.others?.get(name));
    if (wanted.length === 0) return undefined;
    const key = wanted.map(([name]) => name).join(' ');
    let make = this.#toMake.get(key);
    if (make === undefined) {
      make = planExtendedClaim(this.#pod.pod.spec ?? { containers: [] }, new Map(wanted));
      this.#toMake.set(key, make);
    }
    return make;
  }
}

function step(
  claim: string,
  allocation: Extract<BindStep, { do: 'allocateDevices' }>['allocation'],
) {
  return { do: 'allocateDevices', claim, allocation } as const;
}

function claimToMake({ namespace }: PodFacts, { requests }: ClaimToMake): ClaimToAllocate {
  return { metadata: { namespace, name: '<extended-resources>' }, spec: { devices: { requests } } };
}

class AlternativesScorer implements NodeScorer {
  readonly #filter: ClaimFilter;
  readonly #claims: readonly ResourceClaim[];

  constructor(filter: ClaimFilter, claims: readonly ResourceClaim[]) {
    this.#filter = filter;
    this.#claims = claims;
  }

  score(node: NodeInfo): number {
    const found = this.#filter.allocate(node);
    const allocations = found.ok ? [...found.allocations] : [];
    let points = 0;
    for (const { spec, status } of this.#claims) {
      const given = status?.allocation?.devices?.results ?? allocations.shift()?.devices ?? [];
      const had = new Set(given.map(({ request }) => request));
      for (const { name, firstAvailable = [] } of spec.devices?.requests ?? []) {
        const place = firstAvailable.findIndex((one) => had.has(`${name}/${one.name}`));
        if (place >= 0) points += alternativesMax - place;
      }
    }
    return points;
  }

  normalize(scores: Float64Array): void {
    normalizeByMost(scores, { reverse: false });
  }
}

/** The pod's claims, or why they cannot be had. */
function claimsOf({ pod, namespace, uid }: PodFacts, { facts }: Cluster) {
  const claims: ResourceClaim[] = [];
  for (const { name, resourceClaimName } of pod.spec?.resourceClaims ?? []) {
    const made = pod.status?.resourceClaimStatuses?.find((one) => one.name === name);
    const claimName = resourceClaimName ?? made?.resourceClaimName;
    if (claimName === undefined) {
      // The controller says so where the template asks for none.
      if (made !== undefined) continue;
      return `pod "${namespace}/${pod.metadata.name}": ResourceClaim not created yet`;
    }
    const claim = facts.resourceClaims.get(`${namespace}/${claimName}`);
    if (claim === undefined) return `could not find v1.ResourceClaim "${namespace}/${claimName}"`;
    if (claim.metadata.deletionTimestamp !== undefined) {
      return `resourceclaim "${claimName}" is being deleted`;
    }
    const owned = claim.metadata.ownerReferences?.some((owner) => owner.uid === uid);
    if (resourceClaimName === undefined && owned !== true) {
      return `ResourceClaim ${namespace}/${claimName} was not created for pod ${namespace}/${pod.metadata.name} (pod is not owner)`;
    }
    claims.push(claim);
  }
  return claims;
}

function whyNot({ uid }: PodFacts, { claims }: Wants, cluster: Cluster): string | undefined {
  for (const claim of claims) {
    const reserved = claim.status?.reservedFor ?? [];
    if (claim.status?.allocation !== undefined) {
      const mine = reserved.some((one) => one.uid === uid);
      if (!mine && reserved.length >= reservationsMax) return 'resourceclaim in use';
      continue;
    }
    if (cluster.assumptions.devicesOf(objectKey(claim)) !== undefined) {
      return `resource claim ${objectKey(claim)} is in the process of being allocated`;
    }
    for (const { name, exactly, firstAvailable = [] } of claim.spec.devices?.requests ?? []) {
      const asked =
        exactly !== undefined
          ? [{ name, deviceClassName: exactly.deviceClassName }]
          : firstAvailable.map((one) => ({ ...one, name: `${name}/${one.name}` }));
      for (const one of asked) {
        if (cluster.facts.deviceClasses.get(one.deviceClassName) !== undefined) continue;
        return `request ${one.name}: device class ${one.deviceClassName} does not exist`;
      }
    }
  }
  return undefined;
}
