/**
 * Claims that have grown while their volumes are in use on this node.
 *
 * Whoever makes a volume larger says so in the PersistentVolume, and in the claim's status that the
 * node has still to do its part. Where the volume is a device with a file system, that is grown in
 * place; a folder or a bare device has nothing to grow. Then the claim is told to have its new
 * size. What fails is told as an Event and tried again with the next look; nobody's pod waits for
 * it. Called by `volumes.ts`, which looks from time to time; texts are upstream's.
 */
import { compareQuantities } from '#api/quantity.ts';
import type { Client, Recorder } from '#client';
import { persistentVolumeClaims } from '#resources/kinds.ts';
import type { PersistentVolumeClaim, Pod } from '#resources/types/core-v1.ts';
import type { Machine } from '../node/machine.ts';
import type { BoundVolume } from './persistent-volume.ts';

export interface ClaimGrowthDeps {
  readonly client: Client;
  readonly machine: Pick<Machine, 'growFileSystem'>;
  readonly recorder: Pick<Recorder, 'record'>;
}

/** Of conditions: those that a resize sets, and that go with its end. */
const resizeConditions: ReadonlySet<string> = new Set([
  'Resizing',
  'FileSystemResizePending',
  'ControllerResizeError',
  'NodeResizeError',
]);

/** The size that the claim is to have, if it is this node's turn to see to it. */
export function grownSize({ claim, volume }: BoundVolume): string | undefined {
  const size = volume.spec?.capacity?.['storage'];
  const { capacity, allocatedResourceStatuses } = claim.status ?? {};
  const turn = allocatedResourceStatuses?.['storage'];
  if (turn !== 'NodeResizePending' && turn !== 'NodeResizeInProgress') return undefined;
  if (size === undefined) return undefined;
  return compareQuantities(size, capacity?.['storage'] ?? '0') > 0 ? size : undefined;
}

/** `folder` is where the volume is on the node. */
export async function growClaim(
  { client, machine, recorder }: ClaimGrowthDeps,
  bound: BoundVolume,
  {
    pod,
    folder,
    signal,
  }: { readonly pod: Pod; readonly folder: string; readonly signal: AbortSignal },
): Promise<void> {
  const size = grownSize(bound);
  if (size === undefined) return;
  const name = bound.volume.metadata.name ?? '';
  try {
    const begun = { allocatedResourceStatuses: { storage: 'NodeResizeInProgress' } };
    const claim = await patched(client, bound.claim, begun, signal);
    if ('localDevice' in bound.source) {
      await machine.growFileSystem(bound.source.localDevice.path, folder, { signal });
    }
    const message = `MountVolume.NodeExpandVolume succeeded for volume "${name}" ${pod.spec?.nodeName ?? ''}`;
    for (const about of [pod, claim]) {
      recorder.record(about, { type: 'Normal', reason: 'FileSystemResizeSuccessful', message });
    }
    const conditions = claim.status?.conditions?.filter(({ type }) => !resizeConditions.has(type));
    const done = { capacity: { storage: size }, allocatedResourceStatuses: { storage: null } };
    await patched(client, claim, { ...done, conditions: conditions ?? null }, signal);
  } catch (error) {
    if (signal.aborted || !(error instanceof Error)) throw error;
    const message = `NodeExpandVolume.NodeExpandVolume failed for volume "${name}" : ${error.message}`;
    recorder.record(pod, { type: 'Warning', reason: 'VolumeResizeFailed', message });
  }
}

/** Fails where somebody else has changed the claim meanwhile. */
async function patched(
  client: Client,
  { metadata }: PersistentVolumeClaim,
  status: object,
  signal: AbortSignal,
): Promise<PersistentVolumeClaim> {
  const { namespace = '', name = '', resourceVersion } = metadata;
  const body = { metadata: { resourceVersion }, status };
  const options = { type: 'merge', subresource: 'status', signal } as const;
  return await client.patch(persistentVolumeClaims, { namespace, name }, body, options);
}
