/**
 * What wakes an owner of pods, and what it learns from them: that a pod which it asked for is
 * there, and that one which it deleted is going.
 *
 * A pod that begins to terminate counts as gone: from then on another may take its place. An orphan
 * wakes those who may adopt it only when it is new, was released or has other labels. Used by
 * ReplicaSets, ReplicationControllers, StatefulSets, DaemonSets and Jobs.
 */
import { controllerOf, type KubeObject, objectKey } from '#api/object.ts';
import type { Informer } from '#client';
import type { WorkQueue } from '#kit/work-queue.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { Expectations } from './expectations.ts';
import type { Owned } from './owned.ts';
import { isTerminating } from './pod-state.ts';
import { isSameValue } from './same-value.ts';

export interface PodOwners<Owner extends KubeObject> {
  readonly owners: Informer<Owner>;
  readonly pods: Informer<Pod>;
  readonly owned: Owned<Owner, Pod>;
  readonly queue: WorkQueue;
  readonly expectations: Expectations;
}

export function watchOwnedPods<Owner extends KubeObject>(facts: PodOwners<Owner>): void {
  const { owners, pods, owned, queue, expectations } = facts;
  const wake = (owner: Owner): void => queue.add(objectKey(owner));
  const wakeConcerned = (pod: Pod): void => {
    for (const owner of owned.concerned(pod)) wake(owner);
  };
  const podGone = (pod: Pod): void => {
    const owner = owned.ownerOf(pod);
    if (owner === undefined) return;
    expectations.sawDeletion(objectKey(owner), pod.metadata.uid ?? '');
    wake(owner);
  };
  owners.addHandler({
    onAdd: wake,
    onUpdate: wake,
    onDelete: (owner) => expectations.forget(objectKey(owner)),
  });
  pods.addHandler({
    onAdd: (pod) => {
      if (isTerminating(pod)) {
        podGone(pod);
        return;
      }
      const owner = owned.ownerOf(pod);
      if (owner !== undefined) expectations.sawCreation(objectKey(owner));
      wakeConcerned(pod);
    },
    onUpdate: (pod, old) => {
      const [owner, before] = [controllerOf(pod), controllerOf(old)];
      if (before !== undefined && before.uid !== owner?.uid) wakeConcerned(old);
      if (isTerminating(pod)) podGone(pod);
      else if (owner !== undefined || before !== undefined) wakeConcerned(pod);
      else if (!isSameValue(pod.metadata.labels, old.metadata.labels)) wakeConcerned(pod);
    },
    onDelete: podGone,
  });
}
