/**
 * What is to be done about a claim. Pure.
 *
 * A claim that was never bound gets the best free volume, or the one that it names; without any it
 * takes the default class, is handed to the provisioner of its class (`provisioning.ts`), or waits.
 * One that was bound stays with its volume, and is Lost when that is gone or serves another claim.
 * `persistent-volume.ts` gathers and performs.
 *
 * Behaviour and texts: kubernetes.io, "Persistent Volumes".
 */
import type { EventText } from '#client';
import type { PersistentVolume, PersistentVolumeClaim } from '#resources/types/core-v1.ts';
import type { StorageClass } from '#resources/types/storage-v1.ts';
import { namesStorageClass, storageClassNameOf } from '#resources/volumes/storage-class-name.ts';
import {
  findVolume,
  isBoundTo,
  volumeAnnotations,
  volumeProblem,
} from '#resources/volumes/volume-matching.ts';
import { type ProvisionAction, planProvision } from './provisioning.ts';

export type ClaimAction =
  | { readonly do: 'bind'; readonly volume: PersistentVolume }
  | { readonly do: 'assign-class'; readonly className: string }
  | ProvisionAction
  | { readonly do: 'wait'; readonly event?: EventText }
  | { readonly do: 'lose'; readonly event: EventText };

export interface ClaimFacts {
  readonly claim: PersistentVolumeClaim;
  readonly volumes: Iterable<PersistentVolume>;
  readonly volumeOf: (name: string) => PersistentVolume | undefined;
  readonly classOf: (name: string) => StorageClass | undefined;
  readonly defaultClass: StorageClass | undefined;
  /** Volumes of class `kubernetes.io/host-path` are made. */
  readonly makesFolders: boolean;
  /** Names of pods that use the claim and have no node yet. */
  readonly waitingPods: () => readonly string[];
}

export function planClaim(facts: ClaimFacts): ClaimAction {
  const { claim } = facts;
  const isBound = volumeAnnotations.bindCompleted in (claim.metadata.annotations ?? {});
  if (isBound) return planBound(facts);
  return claim.spec?.volumeName ? planNamed(facts, claim.spec.volumeName) : planFree(facts);
}

function planFree(facts: ClaimFacts): ClaimAction {
  const { claim, volumes, classOf, defaultClass } = facts;
  const className = storageClassNameOf(claim);
  const isDelayed = classOf(className)?.volumeBindingMode === 'WaitForFirstConsumer';
  const volume = findVolume(claim, volumes, { isDelayed });
  if (volume !== undefined) return { do: 'bind', volume };
  if (!namesStorageClass(claim) && defaultClass?.metadata.name !== undefined) {
    return { do: 'assign-class', className: defaultClass.metadata.name };
  }
  const isPlaced = volumeAnnotations.selectedNode in (claim.metadata.annotations ?? {});
  if (isDelayed && !isPlaced) return { do: 'wait', event: delayedEvent(facts.waitingPods()) };
  if (className !== '') {
    const found = classOf(className);
    return planProvision(claim, className, { found, makesFolders: facts.makesFolders });
  }
  const message = 'no persistent volumes available for this claim and no storage class is set';
  return { do: 'wait', event: { type: 'Normal', reason: 'FailedBinding', message } };
}

function delayedEvent(pods: readonly string[]): EventText {
  const type = 'Normal';
  if (pods.length === 0) {
    const message = 'waiting for first consumer to be created before binding';
    return { type, reason: 'WaitForFirstConsumer', message };
  }
  const what = pods.length === 1 ? `pod ${pods[0]}` : `pods ${pods.join(',')}`;
  return { type, reason: 'WaitForPodScheduled', message: `waiting for ${what} to be scheduled` };
}

function planNamed({ claim, volumeOf }: ClaimFacts, name: string): ClaimAction {
  const volume = volumeOf(name);
  if (volume === undefined) return { do: 'wait' };
  if (volume.spec?.claimRef === undefined) {
    const problem = volumeProblem(volume, claim);
    if (problem === undefined) return { do: 'bind', volume };
    const message = `Cannot bind to requested volume "${name}": ${problem}`;
    return { do: 'wait', event: { type: 'Warning', reason: 'VolumeMismatch', message } };
  }
  if (isBoundTo(volume, claim)) return { do: 'bind', volume };
  const message = `volume "${name}" already bound to a different claim.`;
  return { do: 'wait', event: { type: 'Warning', reason: 'FailedBinding', message } };
}

function planBound({ claim, volumeOf }: ClaimFacts): ClaimAction {
  const lost = (reason: string, message: string): ClaimAction => ({
    do: 'lose',
    event: { type: 'Warning', reason, message },
  });
  const { volumeName = '' } = claim.spec ?? {};
  if (volumeName === '') {
    const what = 'Bound claim has lost reference to PersistentVolume.';
    return lost('ClaimLost', `${what} Data on the volume is lost!`);
  }
  const volume = volumeOf(volumeName);
  if (volume === undefined) {
    const message = 'Bound claim has lost its PersistentVolume. Data on the volume is lost!';
    return lost('ClaimLost', message);
  }
  const { claimRef } = volume.spec ?? {};
  if (claimRef === undefined || claimRef.uid === claim.metadata.uid) return { do: 'bind', volume };
  const message = 'Two claims are bound to the same volume, this one is bound incorrectly';
  return lost('ClaimMisbound', message);
}

const defaultAnnotations = [
  'storageclass.kubernetes.io/is-default-class',
  'storageclass.beta.kubernetes.io/is-default-class',
];

/** Of several default classes the newest, and of equally old ones the first by name. */
export function defaultClassOf(classes: Iterable<StorageClass>): StorageClass | undefined {
  let best: StorageClass | undefined;
  for (const one of classes) {
    const { annotations = {}, creationTimestamp: at = '', name = '' } = one.metadata;
    if (!defaultAnnotations.some((key) => annotations[key] === 'true')) continue;
    const { creationTimestamp: bestAt = '', name: bestName = '' } = best?.metadata ?? {};
    if (best === undefined || at > bestAt || (at === bestAt && name < bestName)) best = one;
  }
  return best;
}
