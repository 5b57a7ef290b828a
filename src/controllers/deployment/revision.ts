/**
 * Revisions of a Deployment, kept in annotations of its ReplicaSets. Pure.
 *
 * The set of the current template carries the highest number; `kubectl rollout history` and `undo`
 * read them. A set that becomes current again (an undo) gets a new number, and remembers its old
 * ones. Every set also says for how many replicas it was last sized (`desired-replicas`,
 * `max-replicas`), which is how a scaling in the middle of a rollout is noticed and shared out.
 */
import type { Deployment, ReplicaSet } from '#resources/types/apps-v1.ts';

export const annotations = {
  revision: 'deployment.kubernetes.io/revision',
  history: 'deployment.kubernetes.io/revision-history',
  desired: 'deployment.kubernetes.io/desired-replicas',
  max: 'deployment.kubernetes.io/max-replicas',
  /** Of the Deployment alone: the revision that an old client wishes to go back to. */
  rollback: 'deprecated.deployment.rollback.to',
} as const;

const historyLengthMax = 2000;

/** Not passed on from a Deployment to its ReplicaSets. */
export const keptBack: ReadonlySet<string> = new Set([
  ...Object.values(annotations),
  'kubectl.kubernetes.io/last-applied-configuration',
]);

type Annotations = Readonly<Record<string, string>>;

/** Revisions are 64 bits wide, wider than a number is exact. */
export function revisionOf(object: Deployment | ReplicaSet): bigint {
  const text = object.metadata.annotations?.[annotations.revision] ?? '';
  if (!/^\d{1,19}$/.test(text)) return 0n;
  const revision = BigInt(text);
  return BigInt.asIntN(64, revision) === revision ? revision : 0n;
}

export function compareRevision(one: ReplicaSet, other: ReplicaSet): number {
  const difference = revisionOf(one) - revisionOf(other);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

export function highestRevision(sets: readonly ReplicaSet[]): bigint {
  const highest = sets.toSorted(compareRevision).at(-1);
  return highest === undefined ? 0n : revisionOf(highest);
}

export function numberIn(object: Deployment | ReplicaSet, name: string): number | undefined {
  const text = object.metadata.annotations?.[name];
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
}

/** The annotations of the Deployment's current set, given the highest revision of the others. */
export function currentAnnotations(
  deployment: Deployment,
  current: ReplicaSet | undefined,
  oldRevisionMax: bigint,
): Annotations {
  const next: Record<string, string> = { ...current?.metadata.annotations };
  for (const [name, value] of Object.entries(deployment.metadata.annotations ?? {})) {
    if (!keptBack.has(name)) next[name] = value;
  }
  const before = current === undefined ? 0n : revisionOf(current);
  if (before > oldRevisionMax) return next;
  next[annotations.revision] = String(oldRevisionMax + 1n);
  if (before > 0n) {
    const history = next[annotations.history];
    next[annotations.history] = shortened(
      history === undefined ? `${before}` : `${history},${before}`,
    );
  }
  return next;
}

export function sizeAnnotations(desired: number, max: number): Annotations {
  return { [annotations.desired]: String(desired), [annotations.max]: String(max) };
}

/** The newest whole numbers that fit. */
function shortened(history: string): string {
  if (history.length <= historyLengthMax) return history;
  const kept = history.slice(-historyLengthMax);
  return kept.slice(kept.indexOf(',') + 1);
}
