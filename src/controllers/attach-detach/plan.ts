/**
 * Which volumes are to be attached to which nodes. Pure.
 *
 * Wanted is every volume of a CSI driver that needs attaching, on each node where a pod that uses
 * it runs. A volume for one node alone is not attached to a second while a first has it. What
 * nobody wants any more is detached once the kubelet says that it is not in use, or after six
 * minutes of waiting on a node that is not healthy; at once on a node that is out of service.
 * `attach-detach.ts` gathers and performs.
 */
import { createHash } from 'node:crypto';
import type { Node, PersistentVolume, Pod } from '#resources/types/core-v1.ts';
import type { VolumeAttachment } from '#resources/types/storage-v1.ts';

export const limits = {
  /** A node that is not healthy keeps what it may still be using this long. */
  forcedDetachMs: 6 * 60 * 1000,
} as const;

/** One use of a volume by a pod that has a node. */
export interface Use {
  readonly pod: Pod;
  readonly volume: PersistentVolume;
  readonly nodeName: string;
}

export type AttachAction =
  | { readonly do: 'attach'; readonly attachment: VolumeAttachment }
  | { readonly do: 'detach'; readonly attachment: VolumeAttachment }
  | { readonly do: 'refuse'; readonly pods: readonly Pod[]; readonly message: string };

export interface AttachFacts {
  readonly volume: PersistentVolume;
  readonly uses: readonly Use[];
  readonly attachments: readonly VolumeAttachment[];
  readonly nodeOf: (name: string) => Node | undefined;
  /** Since when an attachment is not wanted. */
  readonly unwantedMs: (attachment: VolumeAttachment) => number;
}

export interface AttachPlan {
  readonly actions: readonly AttachAction[];
  /** When to look again, by the same clock. */
  readonly againMs: number | undefined;
}

export function planAttachments(facts: AttachFacts, nowMs: number): AttachPlan {
  const { volume, uses, attachments, nodeOf } = facts;
  const wanted = new Set(uses.map(({ nodeName }) => nodeName));
  const actions: AttachAction[] = [];
  let againMs: number | undefined;
  for (const attachment of attachments) {
    if (wanted.has(attachment.spec.nodeName)) continue;
    if (attachment.metadata.deletionTimestamp !== undefined) continue;
    const node = nodeOf(attachment.spec.nodeName);
    const sinceMs = facts.unwantedMs(attachment);
    const isDue = nowMs - sinceMs >= limits.forcedDetachMs && !isHealthy(node);
    const isFree = node === undefined || isOutOfService(node) || !isInUse(node, volume);
    if (isFree || isDue) actions.push({ do: 'detach', attachment });
    else
      againMs = Math.min(
        againMs ?? sinceMs + limits.forcedDetachMs,
        sinceMs + limits.forcedDetachMs,
      );
  }
  const isShared = mayBeShared(volume);
  const holders = new Set(attachments.map(({ spec }) => spec.nodeName));
  for (const nodeName of wanted) {
    if (holders.has(nodeName)) continue;
    if (!isManaged(nodeOf(nodeName))) continue;
    if (!isShared && holders.size > 0) {
      actions.push(refusal(facts, nodeName));
      continue;
    }
    holders.add(nodeName);
    actions.push({ do: 'attach', attachment: attachmentOf(volume, nodeName) });
  }
  return { actions, againMs };
}

/** Upstream's text: with the pods that have the volume, or without where there are none. */
function refusal({ volume, uses, attachments }: AttachFacts, nodeName: string): AttachAction {
  const pods = uses.filter((use) => use.nodeName === nodeName).map(({ pod }) => pod);
  const others = uses.filter((use) =>
    attachments.some(({ spec }) => spec.nodeName === use.nodeName),
  );
  const start = `Multi-Attach error for volume "${volume.metadata.name}"`;
  const names = others.map(({ pod }) => pod.metadata.name).join(', ');
  const message =
    others.length === 0
      ? `${start} Volume is already exclusively attached to one node and can't be attached to another`
      : `${start} Volume is already used by pod(s) ${names}`;
  return { do: 'refuse', pods, message };
}

function mayBeShared({ spec }: PersistentVolume): boolean {
  const modes = spec?.accessModes ?? [];
  return (
    modes.length === 0 || modes.some((mode) => mode === 'ReadWriteMany' || mode === 'ReadOnlyMany')
  );
}

/** The node's kubelet leaves attaching to us. */
export function isManaged(node: Node | undefined): boolean {
  const key = 'volumes.kubernetes.io/controller-managed-attach-detach';
  return node?.metadata.annotations?.[key] === 'true';
}

function isOutOfService({ spec }: Node): boolean {
  return spec?.taints?.some(({ key }) => key === 'node.kubernetes.io/out-of-service') ?? false;
}

function isHealthy(node: Node | undefined): boolean {
  return (
    node?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ??
    false
  );
}

function isInUse({ status }: Node, volume: PersistentVolume): boolean {
  return status?.volumesInUse?.includes(uniqueName(volume)) ?? false;
}

/** How nodes call the volume: `kubernetes.io/csi/DRIVER^HANDLE`. */
export function uniqueName({ spec }: PersistentVolume): string {
  return `kubernetes.io/csi/${spec?.csi?.driver}^${spec?.csi?.volumeHandle}`;
}

/** `csi-` and the hash of handle, driver and node: the kubelet computes the same. */
function attachmentName(volume: PersistentVolume, nodeName: string): string {
  const { driver = '', volumeHandle = '' } = volume.spec?.csi ?? {};
  const hash = createHash('sha256').update(`${volumeHandle}${driver}${nodeName}`).digest('hex');
  return `csi-${hash}`;
}

function attachmentOf(volume: PersistentVolume, nodeName: string): VolumeAttachment {
  return {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'VolumeAttachment',
    metadata: { name: attachmentName(volume, nodeName) },
    spec: {
      attacher: volume.spec?.csi?.driver ?? '',
      nodeName,
      source: { persistentVolumeName: volume.metadata.name },
    },
  };
}

/** What `volumesAttached` of a node says of one volume, put right; undefined where it is. */
export function planAttached(
  node: Node,
  volume: PersistentVolume,
  { isAttached }: { readonly isAttached: boolean },
): NonNullable<Node['status']>['volumesAttached'] | undefined {
  const name = uniqueName(volume);
  const before = node.status?.volumesAttached ?? [];
  const has = before.some((one) => one.name === name);
  if (has === isAttached) return undefined;
  if (isAttached) return [...before, { name, devicePath: '' }];
  return before.filter((one) => one.name !== name);
}
