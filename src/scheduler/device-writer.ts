/**
 * Writes into a ResourceClaim which devices it has and for whom, before the pod is bound.
 *
 * The finalizer comes first, so that an allocated claim cannot vanish while devices are in use. A
 * conflict is met by reading again; a claim that somebody else allocated meanwhile is an error, and
 * the pod is decided anew. A claim for what containers ask for as extended resources is made first,
 * and named in the pod's status, where the kubelet looks. What was written for a pod that could not
 * be bound is taken back; but nothing is taken from a pod that has a node by now, whoever believes
 * that it has none.
 */

import { badRequest, isReason, notFound } from '#api/errors.ts';
import { objectKey } from '#api/object.ts';
import type { Cancel, Client } from '#client';
import { assert } from '#kit/assert.ts';
import { type Clock, formatTime } from '#kit/clock.ts';
import type { Random } from '#kit/random.ts';
import { pods, resourceClaims } from '#resources/kinds.ts';
import { extendedClaimAnnotation } from '#resources/resource/extended-device-class.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { AllocationResult, ResourceClaim } from '#resources/types/resource-v1.ts';
import type { BindStep, ClaimToMake, DeviceAllocation } from '#scheduling';
import type { Placement } from './extension.ts';
import type { SchedulerMetrics } from './metrics.ts';
import { whereabouts } from './whereabouts.ts';

const finalizer = 'resource.kubernetes.io/delete-protection';
const attemptsMax = 5;

export type DeviceStep = Extract<BindStep, { do: 'allocateDevices' }>;

export interface WrittenClaim {
  /** `namespace/name`. */
  readonly claim: string;
  /** The pod that names the claim by now: it may only be bound so. */
  readonly tells?: Pod;
}

export interface DeviceWriterDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics?: SchedulerMetrics | undefined;
}

export class DeviceWriter {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #metrics: SchedulerMetrics | undefined;

  constructor(deps: DeviceWriterDeps) {
    this.#client = deps.client;
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#metrics = deps.metrics;
  }

  async write(placement: Placement, step: DeviceStep, options: Cancel): Promise<WrittenClaim> {
    const { make, allocation } = step;
    const claim = make === undefined ? step.claim : await this.#make(placement, make, options);
    await this.#asItIs(() => this.#writeOnce(placement, { claim, allocation }, options));
    if (make === undefined) return { claim };
    return { claim, tells: await this.#tellPod(placement, claim, make, options) };
  }

  /**
   * The pod does not come: the claim is reserved for it no more, or goes if it was made for it.
   * Where it was allocated for the pod alone its devices are free again: the controller of claims
   * would not do that, since nobody holds it that could go. A pod that an earlier request has bound
   * after all keeps what it has.
   */
  async release(
    placement: Placement,
    claim: ResourceClaim,
    { signal, allocatedHere }: Cancel & { readonly allocatedHere: boolean },
  ): Promise<void> {
    if (claim.metadata.annotations?.[extendedClaimAnnotation] === 'true') {
      await this.remove(claim, { signal });
      return;
    }
    const { namespace = '', name = '', uid } = claim.metadata;
    const mine = { $patch: 'delete', uid: placement.pod.uid };
    const at = { namespace, name };
    await this.#ifThere(async () => {
      const current = await this.#client.get(resourceClaims, at, { signal });
      const { reservedFor = [] } = current.status ?? {};
      const user = reservedFor.find((one) => one.uid === mine.uid);
      if (current.metadata.uid !== uid || user === undefined) return;
      const pod = { namespace, name: user.name, uid: mine.uid };
      if ((await whereabouts(this.#client, pod, { signal })).is === 'bound') return;
      if (allocatedHere && reservedFor.length === 1) {
        const bare = { ...current, status: {} };
        await this.#client.update(resourceClaims, bare, { subresource: 'status', signal });
        return;
      }
      const { resourceVersion } = current.metadata;
      const patch = { metadata: { uid, resourceVersion }, status: { reservedFor: [mine] } };
      const options = { type: 'strategic', subresource: 'status', signal } as const;
      await this.#client.patch(resourceClaims, at, patch, options);
    });
  }

  /**
   * Reads and writes until nobody writes between. A write holds for what was read only: a request
   * that was given up may still arrive, and must not undo what was decided after it.
   */
  async #asItIs<T>(write: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await write();
      } catch (error) {
        if (!isReason(error, 'Conflict') || attempt === attemptsMax) throw error;
      }
    }
  }

  /** The same, where the claim may be gone by now: then there is nothing to take back. */
  async #ifThere(write: () => Promise<void>): Promise<void> {
    try {
      await this.#asItIs(write);
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
    }
  }

  /** A claim that was made here, if its pod is on no node. Others that come meanwhile make anew. */
  async remove(claim: ResourceClaim, { signal }: Cancel): Promise<void> {
    const { namespace = '', name = '', uid = '' } = claim.metadata;
    const at = { namespace, name };
    await this.#ifThere(async () => {
      const current = await this.#client.get(resourceClaims, at, { signal });
      if (current.metadata.uid !== uid) return;
      for (const { name: owner, uid: ownerUid } of current.metadata.ownerReferences ?? []) {
        const pod = { namespace, name: owner, uid: ownerUid };
        const place = await whereabouts(this.#client, pod, { signal });
        // Another claim of the pod is of no use to it: it was made by somebody who came too late.
        if (place.is === 'bound' && namesMade(place.pod, name)) return;
      }
      const finalizers = current.metadata.finalizers?.filter((one) => one !== finalizer);
      const bare = { ...current, metadata: { ...current.metadata, finalizers } };
      const written = await this.#client.update(resourceClaims, bare, { signal });
      // Since the pod was found without a node nobody may have reserved it.
      const { resourceVersion = '' } = written.metadata;
      const preconditions = { uid, resourceVersion };
      await this.#client.delete(resourceClaims, at, { preconditions, signal });
    });
  }

  /**
   * Takes the devices of a claim away that nobody uses but, at most, this pod, so that others may
   * be found; the claim as it was seen is the condition.
   */
  async free(claim: ResourceClaim, { signal, uid }: Cancel & { readonly uid: string }) {
    const { namespace = '' } = claim.metadata;
    for (const user of claim.status?.reservedFor ?? []) {
      assert(user.uid === uid, 'nothing is taken from others');
      const pod = { namespace, name: user.name, uid };
      if ((await whereabouts(this.#client, pod, { signal })).is === 'bound') return;
    }
    const written = { ...claim, status: {} };
    await this.#client.update(resourceClaims, written, { subresource: 'status', signal });
  }

  async #make(
    { pod: { pod, namespace, uid } }: Placement,
    { requests }: ClaimToMake,
    { signal }: Cancel,
  ): Promise<string> {
    const { name = '' } = pod.metadata;
    const owner = { apiVersion: 'v1', kind: 'Pod', name, uid, controller: true };
    const claim: ResourceClaim = {
      apiVersion: 'resource.k8s.io/v1',
      kind: 'ResourceClaim',
      metadata: {
        namespace,
        generateName: `${name}-extended-resources-`,
        annotations: { [extendedClaimAnnotation]: 'true' },
        ownerReferences: [owner],
      },
      spec: { devices: { requests } },
    };
    try {
      const made = await this.#client.create(resourceClaims, claim, { signal });
      this.#metrics?.claimMade('success');
      return objectKey(made);
    } catch (error) {
      this.#metrics?.claimMade('failure');
      throw error;
    }
  }

  async #tellPod(
    { pod: { pod, namespace, uid } }: Placement,
    key: string,
    { mappings }: ClaimToMake,
    { signal }: Cancel,
  ): Promise<Pod> {
    const { name = '' } = pod.metadata;
    const resourceClaimName = key.slice(key.indexOf('/') + 1);
    const extendedResourceClaimStatus = { requestMappings: mappings, resourceClaimName };
    const at = { namespace, name };
    return this.#asItIs(async () => {
      const place = await whereabouts(this.#client, { namespace, name, uid }, { signal });
      const of = { group: '', resource: 'pods' };
      if (place.is === 'gone') throw notFound(of, name);
      if (place.is === 'bound') throw badRequest(`pod ${name} is on ${place.nodeName} by now`);
      const { resourceVersion } = place.pod.metadata;
      const patch = { metadata: { uid, resourceVersion }, status: { extendedResourceClaimStatus } };
      const options = { type: 'strategic', subresource: 'status', signal } as const;
      return this.#client.patch(pods, at, patch, options);
    });
  }

  async #writeOnce(
    { pod }: Placement,
    { claim: key, allocation }: Pick<DeviceStep, 'claim' | 'allocation'>,
    { signal }: Cancel,
  ): Promise<void> {
    const [namespace, name = ''] = key.split('/');
    let claim = await this.#client.get(resourceClaims, { namespace, name }, { signal });
    if (claim.metadata.deletionTimestamp !== undefined) {
      throw new Error(`claim ${key} got deleted in the meantime`);
    }
    const isAllocated = claim.status?.allocation !== undefined;
    if (allocation !== undefined && isAllocated) {
      throw new Error(`claim ${key} got allocated elsewhere in the meantime`);
    }
    if (allocation === undefined && !isAllocated) {
      throw new Error(`claim ${key} got deallocated elsewhere in the meantime`);
    }
    if (!isAllocated && !claim.metadata.finalizers?.includes(finalizer)) {
      const finalizers = [...(claim.metadata.finalizers ?? []), finalizer];
      const metadata = { ...claim.metadata, finalizers };
      claim = await this.#client.update(resourceClaims, { ...claim, metadata }, { signal });
    }
    const { uid } = pod;
    const reservedFor = claim.status?.reservedFor ?? [];
    if (isAllocated && reservedFor.some((one) => one.uid === uid)) return;
    const mine = { resource: 'pods', name: pod.pod.metadata.name ?? '', uid };
    const status: ResourceClaim['status'] = {
      ...claim.status,
      ...(allocation === undefined ? {} : { allocation: this.#resultOf(allocation) }),
      reservedFor: [...reservedFor.filter((one) => one.uid !== uid), mine],
    };
    const written = { ...claim, status };
    await this.#client.update(resourceClaims, written, { subresource: 'status', signal });
  }

  #resultOf({ devices, nodeSelector, config }: DeviceAllocation): AllocationResult {
    return {
      // The allocator made these entries from claims and classes, as they are in the API.
      devices: {
        results: devices.map((one) =>
          one.consumedCapacity === undefined ? one : { ...one, shareID: this.#random.uuid() },
        ),
        config: config as NonNullable<AllocationResult['devices']>['config'],
      },
      ...(nodeSelector === undefined ? {} : { nodeSelector }),
      allocationTimestamp: formatTime(this.#clock.now()),
    };
  }
}

/** Whether its containers have their devices by this claim. */
function namesMade({ status }: Pod, claimName: string): boolean {
  return status?.extendedResourceClaimStatus?.resourceClaimName === claimName;
}
