/**
 * Makes the claims of devices that pods want from templates, reserves claims for pods that were
 * placed without the scheduler, and takes back what is not held any more.
 *
 * Two sorts of keys, pods and claims. `plan.ts` decides; allocating is the scheduler's.
 */
import { isReason } from '#api/errors.ts';
import { objectKey } from '#api/object.ts';
import type { Cancel, Informer, Recorder } from '#client';
import { messageOf } from '#kit/error-message.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import {
  resourceClaims as claimKind,
  pods as podKind,
  resourceClaimTemplates as templateKind,
} from '#resources/kinds.ts';
import type { Pod, PodResourceClaim } from '#resources/types/core-v1.ts';
import type { ResourceClaim } from '#resources/types/resource-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { isTerminated } from '../pod-state.ts';
import { isSameValue } from '../same-value.ts';
import {
  allocationFinalizer,
  claimKeysOf,
  isHeld,
  isHeldInVain,
  isObsolete,
  isSpent,
  planCreations,
  planReservations,
  podClaimAnnotation,
} from './plan.ts';

export const podsByDeviceClaim = 'device claims';

export function openResourceClaimController(deps: ControllerDeps): Controller {
  const controller = new ResourceClaimController(deps);
  return {
    name: 'resourceclaim-controller',
    queue: controller.queue,
    reconcile: (key, cancel) => controller.reconcile(key, cancel),
    workers: 5,
    sources: [controller.pods, controller.claims],
  };
}

class ResourceClaimController {
  readonly queue: WorkQueue;
  readonly pods: Informer<Pod>;
  readonly claims: Informer<ResourceClaim>;
  readonly #deps: ControllerDeps;
  readonly #recorder: Recorder;

  constructor(deps: ControllerDeps) {
    this.#deps = deps;
    this.#recorder = deps.recorderFor('resource_claim');
    this.queue = new WorkQueue(deps);
    this.pods = deps.informers.of(podKind);
    this.claims = deps.informers.of(claimKind);
    this.pods.addIndex(podsByDeviceClaim, claimKeysOf);
    const wake = (pod: Pod): void => {
      if ((pod.spec?.resourceClaims ?? []).length > 0) this.queue.add(`pod ${objectKey(pod)}`);
      for (const key of claimKeysOf(pod)) this.queue.add(`claim ${key}`);
    };
    this.pods.addHandler({ onAdd: wake, onUpdate: wake, onDelete: wake });
    const wakeClaim = (claim: ResourceClaim): void => {
      this.queue.add(`claim ${objectKey(claim)}`);
      for (const pod of this.pods.byIndex(podsByDeviceClaim, objectKey(claim))) {
        this.queue.add(`pod ${objectKey(pod)}`);
      }
    };
    this.claims.addHandler({ onAdd: wakeClaim, onUpdate: wakeClaim, onDelete: wakeClaim });
  }

  async reconcile(key: string, cancel: Cancel): Promise<void> {
    const [sort, name = ''] = key.split(' ');
    if (sort === 'pod') {
      const pod = this.pods.get(name);
      if (pod !== undefined) await this.#reconcilePod(pod, cancel);
    } else {
      const claim = this.claims.get(name);
      if (claim !== undefined) await this.#reconcileClaim(claim, cancel);
    }
  }

  async #reconcilePod(pod: Pod, { signal }: Cancel): Promise<void> {
    const { namespace } = pod.metadata;
    const wanted = planCreations(
      pod,
      (name) => this.claims.get(`${namespace}/${name}`) !== undefined,
    );
    const made = new Map<string, string>();
    for (const claim of wanted) {
      try {
        made.set(claim.name, await this.#createFor(pod, claim, { signal }));
      } catch (error) {
        signal.throwIfAborted();
        const message = `PodResourceClaim ${claim.name}: ${messageOf(error)}`;
        const reason = 'FailedResourceClaimCreation';
        this.#recorder.record(pod, { type: 'Warning', reason, message });
        throw error;
      }
    }
    if (made.size > 0) {
      const others = (pod.status?.resourceClaimStatuses ?? []).filter(
        ({ name }) => !made.has(name),
      );
      const added = Array.from(made, ([name, resourceClaimName]) => ({ name, resourceClaimName }));
      const resourceClaimStatuses = [...others, ...added];
      const status = { ...pod.status, resourceClaimStatuses };
      const options = { subresource: 'status', signal };
      await this.#deps.client.update(podKind, { ...pod, status }, options).catch(ignoreNotFound);
      return;
    }
    if (pod.spec?.nodeName && !isTerminated(pod)) await this.#reserve(pod, { signal });
  }

  /** The name of a claim made for this pod, perhaps by an earlier attempt. */
  async #createFor(pod: Pod, podClaim: PodResourceClaim, { signal }: Cancel): Promise<string> {
    const { client } = this.#deps;
    const { namespace = '', name: ownName = '', uid = '' } = pod.metadata;
    for (const { metadata } of this.claims.listNamespace(namespace)) {
      const isOurs = metadata.ownerReferences?.some((owner) => owner.uid === uid) ?? false;
      const isSame = metadata.annotations?.[podClaimAnnotation] === podClaim.name;
      if (isOurs && isSame && metadata.name !== undefined) return metadata.name;
    }
    const { resourceClaimTemplateName: name = '' } = podClaim;
    const template = await this.#templateOf({ namespace, name }, { signal });
    const { metadata = {}, spec } = template.spec;
    const claim: ResourceClaim = {
      apiVersion: 'resource.k8s.io/v1',
      kind: 'ResourceClaim',
      metadata: {
        namespace,
        generateName: `${pod.metadata.name}-${podClaim.name}-`,
        labels: metadata.labels,
        annotations: { ...metadata.annotations, [podClaimAnnotation]: podClaim.name },
        // As upstream's: the claim holds up nobody who waits for the pod to go.
        ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: ownName, uid, controller: true }],
      },
      spec,
    };
    const created = await client.create(claimKind, claim, { signal });
    return created.metadata.name ?? '';
  }

  async #templateOf(at: { readonly namespace: string; readonly name: string }, cancel: Cancel) {
    try {
      return await this.#deps.client.get(templateKind, at, cancel);
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
      // As upstream's cache says it.
      const cause = `resourceclaimtemplate.resource.k8s.io "${at.name}" not found`;
      throw new Error(`resource claim template "${at.name}": ${cause}`, { cause: error });
    }
  }

  /** For a pod that was given its node without the scheduler. */
  async #reserve(pod: Pod, { signal }: Cancel): Promise<void> {
    const { name = '', uid = '' } = pod.metadata;
    for (const key of claimKeysOf(pod)) {
      const claim = this.claims.get(key);
      if (claim?.status?.allocation === undefined) continue;
      const { reservedFor = [] } = claim.status;
      if (reservedFor.some((consumer) => consumer.uid === uid)) continue;
      const status = {
        ...claim.status,
        reservedFor: [...reservedFor, { resource: 'pods', name, uid }],
      };
      const options = { subresource: 'status', signal };
      await this.#deps.client
        .update(claimKind, { ...claim, status }, options)
        .catch(ignoreNotFound);
    }
  }

  async #reconcileClaim(claim: ResourceClaim, { signal }: Cancel): Promise<void> {
    const { client } = this.#deps;
    const { namespace, name = '', uid = '' } = claim.metadata;
    const gone = await this.#gone(claim, { signal });
    const reservedFor = planReservations(claim, gone);
    const spent = isSpent(claim, reservedFor);
    let current = claim;
    if (spent || !isSameValue(reservedFor, claim.status?.reservedFor)) {
      const { allocation, reservedFor: _, ...others } = claim.status ?? {};
      const status = {
        ...others,
        ...(spent || allocation === undefined ? {} : { allocation }),
        ...(reservedFor.length === 0 ? {} : { reservedFor }),
      };
      const options = { subresource: 'status', signal };
      const written = await client
        .update(claimKind, { ...claim, status }, options)
        .catch(ignoreNotFound);
      if (written === undefined) return;
      current = written;
    }
    if (spent ? isHeld(current) : isHeldInVain(current)) {
      const finalizers = current.metadata.finalizers?.filter((one) => one !== allocationFinalizer);
      const metadata = { ...current.metadata, finalizers };
      await client.update(claimKind, { ...current, metadata }, { signal }).catch(ignoreNotFound);
    }
    if (isObsolete(claim, this.#ownerOf(claim)) && reservedFor.length === 0) {
      const options = { preconditions: { uid }, signal };
      await client.delete(claimKind, { namespace, name }, options).catch(ignoreNotFound);
    }
  }

  #ownerOf({ metadata }: ResourceClaim): Pod | undefined {
    const owner = metadata.ownerReferences?.find(({ kind }) => kind === 'Pod');
    const pod = this.pods.get(`${metadata.namespace}/${owner?.name}`);
    return pod?.metadata.uid === owner?.uid ? pod : undefined;
  }

  /**
   * Uids of consumers that are gone or have ended. One that is not known here may be new: the
   * scheduler hears of it sooner, so the server is asked. Those that are no pods are none of our
   * business.
   */
  async #gone({ metadata, status }: ResourceClaim, cancel: Cancel): Promise<ReadonlySet<string>> {
    const { namespace } = metadata;
    const gone = new Set<string>();
    for (const { resource, apiGroup = '', name, uid } of status?.reservedFor ?? []) {
      if (resource !== 'pods' || apiGroup !== '') continue;
      const known = this.pods.get(`${namespace}/${name}`);
      const pod =
        known?.metadata.uid === uid
          ? known
          : await this.#deps.client.get(podKind, { namespace, name }, cancel).catch(ignoreNotFound);
      if (pod?.metadata.uid !== uid || isTerminated(pod)) gone.add(uid);
    }
    return gone;
  }
}
