/**
 * Deletes pods whose devices got a NoExecute taint that their claims do not tolerate, or not for
 * longer.
 *
 * Drivers taint devices in their slices. Each pod concerned has one timer; a taint that goes in
 * time spares the pod. What deleted it stands in its condition DisruptionTarget and in an Event.
 * Slices are watched from the first claim on that has devices. `plan.ts` says when a pod leaves.
 */
import { objectKey } from '#api/object.ts';
import type { Informer } from '#client';
import { WorkQueue } from '#kit/work-queue.ts';
import {
  resourceClaims as claimKind,
  pods as podKind,
  resourceSlices as sliceKind,
} from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { ResourceClaim, ResourceSlice } from '#resources/types/resource-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { evictPod } from '../evict-pod.ts';
import { LeavingPods } from '../leaving-pods.ts';
import { isTerminating } from '../pod-state.ts';
import { claimKeysOf } from '../resource-claim/plan.ts';
import { podsByDeviceClaim } from '../resource-claim/resource-claim.ts';
import { drives, evictingTaints, podLeavesMs, poolsOf } from './plan.ts';

const reason = 'DeviceTaintManagerEviction';
const why = {
  reason: 'DeletionByDeviceTaintManager',
  message: 'Device Taint manager: deleting due to NoExecute taint',
};

export function openDeviceTaintEvictionController(deps: ControllerDeps): Controller {
  const { clock, informers } = deps;
  const queue = new WorkQueue(deps);
  const recorder = deps.recorderFor('device-taint-eviction-controller');
  const pods = informers.of(podKind);
  const claims = informers.of(claimKind);
  let slices: Informer<ResourceSlice> | undefined;
  pods.addIndex(podsByDeviceClaim, claimKeysOf);
  const leaving = new LeavingPods({ clock, queue });
  const tell = (pod: Pod, message: string): void =>
    recorder.record(pod, { type: 'Normal', reason, message });
  const wakeUsers = (claim: ResourceClaim): void => {
    for (const pod of pods.byIndex(podsByDeviceClaim, objectKey(claim))) queue.add(objectKey(pod));
  };
  const wakePool = ({ spec }: ResourceSlice): void => {
    const pool = `${spec.driver}/${spec.pool.name}`;
    for (const claim of claims.list()) if (poolsOf(claim).has(pool)) wakeUsers(claim);
  };
  const followSlices = (): void => {
    if (slices !== undefined) return;
    slices = informers.of(sliceKind);
    const wakeTainted = (slice: ResourceSlice, old = slice): void => {
      if (isTainted(slice) || isTainted(old)) wakePool(slice);
    };
    slices.addHandler({
      onAdd: (slice) => wakeTainted(slice),
      onUpdate: wakeTainted,
      onDelete: (slice) => wakeTainted(slice),
    });
  };
  const see = (claim: ResourceClaim): void => {
    if (claim.status?.allocation === undefined) return;
    followSlices();
    wakeUsers(claim);
  };
  claims.addHandler({ onAdd: see, onUpdate: see, onDelete: wakeUsers });
  followUsers(pods, { queue, leaving });

  return {
    name: 'device-taint-eviction-controller',
    queue,
    workers: 8,
    sources: [pods, claims],
    reconcile: async (key, { signal }) => {
      if (slices === undefined) return;
      await slices.synced({ signal });
      const pod = pods.get(key);
      if (pod === undefined || isTerminating(pod)) return;
      const published = [...slices.list()];
      const leavesMs = podLeavesMs(
        pod,
        (name) => claims.get(`${pod.metadata.namespace}/${name}`),
        (device) => evictingTaints(device, published),
      );
      const departure = leaving.next(pod, leavesMs);
      if (departure.do === 'spare') tell(pod, 'Cancelling deletion');
      if (departure.do !== 'evict') return;
      tell(pod, 'Marking for deletion');
      const due = { by: 'device_taint_eviction_controller', atMs: departure.dueMs } as const;
      await evictPod(deps, pod, { why, due, signal }).catch(ignoreNotFound);
    },
  };
}

/** Pods on a node that have claims, as they come, are placed and get their claims. */
function followUsers(
  pods: Informer<Pod>,
  { queue, leaving }: { readonly queue: WorkQueue; readonly leaving: LeavingPods },
): void {
  const wake = (pod: Pod): void => {
    if (pod.spec?.nodeName && (pod.spec.resourceClaims ?? []).length > 0) queue.add(objectKey(pod));
  };
  pods.addHandler({
    onAdd: wake,
    onUpdate: (pod, old) => {
      const placed = pod.spec?.nodeName !== old.spec?.nodeName;
      if (placed || pod.status?.resourceClaimStatuses !== old.status?.resourceClaimStatuses) {
        wake(pod);
      }
    },
    onDelete: (pod) => leaving.forget(pod),
  });
}

function isTainted({ spec }: ResourceSlice): boolean {
  return (spec.devices ?? []).some(({ taints = [] }) => taints.some(drives));
}
