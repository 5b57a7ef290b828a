/**
 * Devices: the claims of a pod must have theirs, or the node must be able to give them.
 *
 * Claims that are allocated already tie the pod to nodes that can reach the devices. For the others
 * `device-allocator.ts` looks for devices, node by node; what it finds becomes steps that are taken
 * with the place and written before the pod is bound.
 *
 * Behaviour: kubernetes.io, "Dynamic Resource Allocation".
 */
import { createRequire } from 'node:module';
import { objectKey } from '#api/object.ts';
import type { ResourceClaim } from '#resources/types/resource-v1.ts';
import type { Cluster } from '../cluster.ts';
import type { DeviceAllocator } from '../device-allocator.ts';
import type { NodeInfo } from '../node-info.ts';
import { matchesSelector } from '../node-selector.ts';
import {
  type BindStep,
  fits,
  type NodeFilter,
  type Plugin,
  rejected,
  skip,
  type Verdict,
} from '../plugin.ts';
import type { PodFacts } from '../pod-facts.ts';
import { SelectorError } from '../selector-error.ts';

/** Synchronous, since decisions are; what is loaded is our own file, of just this form. */
const require = createRequire(import.meta.url) as (file: string) => {
  readonly DeviceAllocator: new (cluster: Cluster) => DeviceAllocator;
};

/** With it comes the evaluator of expressions: loaded for the first pod that wants devices. */
function openAllocator(cluster: Cluster): DeviceAllocator {
  const { DeviceAllocator: Allocator } = require('../device-allocator.ts');
  return new Allocator(cluster);
}

const cannot = rejected('cannot allocate all claims', { unresolvable: true });
const elsewhere = rejected('resourceclaim not available on the node', { unresolvable: true });

/** Pods that may share one claim. */
const reservationsMax = 256;

export const dynamicResources: Plugin = {
  name: 'DynamicResources',
  filter: (pod, cluster) => {
    if ((pod.pod.spec?.resourceClaims ?? []).length === 0) return skip;
    const claims = claimsOf(pod, cluster);
    const reason = typeof claims === 'string' ? claims : whyNot(pod, claims, cluster);
    if (reason !== undefined) {
      return { do: 'reject', rejection: rejected(reason, { unresolvable: true }) };
    }
    if (typeof claims === 'string' || claims.length === 0) return skip;
    return { do: 'ask', filter: new ClaimFilter(claims, cluster) };
  },
  helps: (change) => {
    if (change.what === 'nodeAdded' || change.what === 'podChanged') return true;
    return (
      change.what === 'fact' && ['deviceClaim', 'deviceSlice', 'deviceClass'].includes(change.kind)
    );
  },
};

class ClaimFilter implements NodeFilter {
  readonly #allocated: readonly ResourceClaim[];
  readonly #wanting: readonly ResourceClaim[];
  readonly #allocator: DeviceAllocator | undefined;

  constructor(claims: readonly ResourceClaim[], cluster: Cluster) {
    this.#allocated = claims.filter(({ status }) => status?.allocation !== undefined);
    this.#wanting = claims.filter(({ status }) => status?.allocation === undefined);
    this.#allocator = this.#wanting.length === 0 ? undefined : openAllocator(cluster);
  }

  check(node: NodeInfo): Verdict {
    for (const { status } of this.#allocated) {
      const selector = status?.allocation?.nodeSelector;
      if (selector !== undefined && !matchesSelector(selector, node)) return elsewhere;
    }
    try {
      return this.#steps(node) === undefined ? cannot : fits;
    } catch (error) {
      if (!(error instanceof SelectorError)) throw error;
      return rejected(error.message, { unresolvable: true });
    }
  }

  steps(node: NodeInfo): readonly BindStep[] {
    return this.#steps(node) ?? [];
  }

  remedies(node: NodeInfo): readonly string[] {
    return [`devices on ${node.name} for claims ${this.#wanting.map(objectKey).join(', ')}`];
  }

  #steps(node: NodeInfo): readonly BindStep[] | undefined {
    const reserve = this.#allocated.map(
      (claim): BindStep => ({
        do: 'allocateDevices',
        claim: objectKey(claim),
        allocation: undefined,
      }),
    );
    if (this.#allocator === undefined) return reserve;
    const allocations = this.#allocator.allocate(this.#wanting, node);
    if (allocations === undefined) return undefined;
    const allocate = this.#wanting.map((claim, index): BindStep => {
      return { do: 'allocateDevices', claim: objectKey(claim), allocation: allocations[index] };
    });
    return [...reserve, ...allocate];
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

function whyNot(
  { uid }: PodFacts,
  claims: readonly ResourceClaim[],
  cluster: Cluster,
): string | undefined {
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
