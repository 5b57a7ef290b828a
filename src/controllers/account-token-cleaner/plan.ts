/**
 * Which token Secrets nobody needs any more. Pure.
 *
 * Only those that a ServiceAccount lists among its `secrets`, as old clusters did by themselves,
 * that no pod mounts, and that were not used for a year since use is noted: first marked invalid,
 * so that whoever needs one after all can take the mark away, and deleted a year after that.
 * Behaviour: kubernetes.io, "Managing Service Accounts", "Legacy ServiceAccount token cleaner".
 */
import type { Pod, Secret, ServiceAccount, Volume } from '#resources/types/core-v1.ts';

export const secretType = 'kubernetes.io/service-account-token';

export const limits = {
  sweepMs: 24 * 60 * 60 * 1000,
  unusedMs: 365 * 24 * 60 * 60 * 1000,
} as const;

const dayMs = 24 * 60 * 60 * 1000;

export function accountNameOf({ metadata }: Secret): string {
  return metadata.annotations?.['kubernetes.io/service-account.name'] ?? '';
}

export function accountUidOf({ metadata }: Secret): string {
  return metadata.annotations?.['kubernetes.io/service-account.uid'] ?? '';
}

/** As labels say it: `2026-01-31`. */
export function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

export function planCleaning(
  facts: {
    readonly secret: Secret;
    readonly account: ServiceAccount | undefined;
    readonly isMounted: boolean;
    /** The day since which use is noted. */
    readonly since: string;
  },
  nowMs: number,
  unusedMs: number = limits.unusedMs,
): 'keep' | 'invalidate' | 'delete' {
  const { secret, account, isMounted, since } = facts;
  const { creationTimestamp = '', deletionTimestamp, labels = {}, name } = secret.metadata;
  const preserved = day(nowMs - unusedMs);
  const trackedMs = Date.parse(since) + dayMs;
  if (!(trackedMs <= nowMs - unusedMs)) return 'keep';
  if (deletionTimestamp !== undefined || creationTimestamp.slice(0, 10) >= preserved) return 'keep';
  const lastUsed = labels['kubernetes.io/legacy-token-last-used'];
  if (lastUsed !== undefined && (!isDay(lastUsed) || lastUsed >= preserved)) return 'keep';
  const isListed = account?.secrets?.some((one) => one.name === name) ?? false;
  const uid = accountUidOf(secret);
  const isOurs = uid === '' || uid === account?.metadata.uid;
  if (!isListed || !isOurs || isMounted) return 'keep';
  const invalidSince = labels['kubernetes.io/legacy-token-invalid-since'] ?? '';
  if (!isDay(invalidSince)) return 'invalidate';
  return invalidSince >= preserved ? 'keep' : 'delete';
}

function isDay(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text));
}

/** Secrets that the pod refers to, by whatever way. */
export function* secretNamesOf({ spec }: Pod): Generator<string> {
  for (const { name } of spec?.imagePullSecrets ?? []) if (name) yield name;
  const { containers = [], initContainers = [], ephemeralContainers = [] } = spec ?? {};
  for (const container of [...containers, ...initContainers, ...ephemeralContainers]) {
    for (const { secretRef } of container.envFrom ?? []) if (secretRef?.name) yield secretRef.name;
    for (const { valueFrom } of container.env ?? []) {
      if (valueFrom?.secretKeyRef?.name) yield valueFrom.secretKeyRef.name;
    }
  }
  for (const volume of spec?.volumes ?? []) yield* secretNamesOfVolume(volume);
}

function* secretNamesOfVolume(volume: Volume): Generator<string> {
  if (volume.secret?.secretName) yield volume.secret.secretName;
  if (volume.azureFile?.secretName) yield volume.azureFile.secretName;
  for (const { secret } of volume.projected?.sources ?? []) if (secret?.name) yield secret.name;
  const { cephfs, flexVolume, iscsi, rbd, scaleIO, storageos } = volume;
  for (const storage of [cephfs, flexVolume, iscsi, rbd, scaleIO, storageos]) {
    if (storage?.secretRef?.name) yield storage.secretRef.name;
  }
  if (volume.csi?.nodePublishSecretRef?.name) yield volume.csi.nodePublishSecretRef.name;
}
