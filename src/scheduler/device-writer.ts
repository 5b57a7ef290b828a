/**
 * Writes into a ResourceClaim which devices it has and for whom, before the pod is bound.
 *
 * The finalizer comes first, so that an allocated claim cannot vanish while devices are in use. A
 * conflict is met by reading again; a claim that somebody else allocated meanwhile is an error, and
 * the pod is decided anew.
 */
import { isReason } from '#api/errors.ts';
import type { Client } from '#client';
import { type Clock, formatTime } from '#kit/clock.ts';
import type { Random } from '#kit/random.ts';
import { resourceClaims } from '#resources/kinds.ts';
import type { AllocationResult, ResourceClaim } from '#resources/types/resource-v1.ts';
import type { BindStep, DeviceAllocation } from '#scheduling';
import type { Placement } from './extension.ts';

const finalizer = 'resource.kubernetes.io/delete-protection';
const attemptsMax = 5;

type Step = Extract<BindStep, { do: 'allocateDevices' }>;

export interface DeviceWriterDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
}

export class DeviceWriter {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(deps: DeviceWriterDeps) {
    this.#client = deps.client;
    this.#clock = deps.clock;
    this.#random = deps.random;
  }

  async write(
    placement: Placement,
    step: Step,
    options: { readonly signal: AbortSignal },
  ): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#writeOnce(placement, step, options);
        return;
      } catch (error) {
        if (!isReason(error, 'Conflict') || attempt === attemptsMax) throw error;
      }
    }
  }

  /** Takes the devices of a claim away that nobody uses, so that others may be found. */
  async free(claim: ResourceClaim, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const written = { ...claim, status: {} };
    await this.#client.update(resourceClaims, written, { subresource: 'status', signal });
  }

  async #writeOnce(
    { pod }: Placement,
    { claim: key, allocation }: Step,
    { signal }: { readonly signal: AbortSignal },
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

  #resultOf({ devices, nodeName, config }: DeviceAllocation): AllocationResult {
    const field = { key: 'metadata.name', operator: 'In', values: [nodeName ?? ''] };
    const nodeSelector = { nodeSelectorTerms: [{ matchFields: [field] }] };
    return {
      // The allocator made these entries from claims and classes, as they are in the API.
      devices: {
        results: devices.map((one) =>
          one.consumedCapacity === undefined ? one : { ...one, shareID: this.#random.uuid() },
        ),
        config: config as NonNullable<AllocationResult['devices']>['config'],
      },
      ...(nodeName === undefined ? {} : { nodeSelector }),
      allocationTimestamp: formatTime(this.#clock.now()),
    };
  }
}
