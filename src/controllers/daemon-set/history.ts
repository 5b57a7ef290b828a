/**
 * The revisions of a DaemonSet: the one of its template, made or renumbered where needed, and which
 * old ones may go.
 *
 * Pods carry the revision's hash. Should several revisions hold the same template (a restored
 * backup, two writers), the highest stays, pods of the others are relabelled, and the others go.
 * Called by `daemon-set.ts` at the start of each turn.
 */
import { isReason } from '#api/errors.ts';
import type { Client } from '#client';
import {
  pods as podKind,
  controllerRevisions as revisionKind,
  daemonSets as setKind,
} from '#resources/kinds.ts';
import type { ControllerRevision, DaemonSet } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import {
  compareRevisions,
  deleteRevisions,
  highestOf,
  holds,
  newRevision,
  revisionLabel,
} from '../controller-revision.ts';
import { templateHash } from '../deployment/template-hash.ts';

export interface History {
  readonly hash: string;
  readonly old: readonly ControllerRevision[];
}

/** Undefined after a collision of names was noted in the status: try again with that. */
export async function settleHistory(
  client: Client,
  set: DaemonSet,
  facts: { readonly revisions: readonly ControllerRevision[]; readonly pods: readonly Pod[] },
  signal: AbortSignal,
): Promise<History | undefined> {
  const template = set.spec?.template ?? {};
  const sorted = facts.revisions.toSorted(compareRevisions);
  const old = sorted.filter((revision) => !holds(revision, template));
  const [newest, ...doubles] = sorted.filter((one) => holds(one, template)).toReversed();
  const next = highestOf(old) + 1;
  if (newest === undefined) {
    const current = await create(client, set, next, signal);
    return current && { hash: hashOf(current), old };
  }
  if (doubles.length > 0) await merge(client, newest, doubles, facts.pods, signal);
  if (newest.revision < next) {
    await client.update(revisionKind, { ...newest, revision: next }, { signal });
  }
  return { hash: hashOf(newest), old };
}

function hashOf({ metadata }: ControllerRevision): string {
  return metadata.labels?.[revisionLabel] ?? metadata.name ?? '';
}

async function merge(
  client: Client,
  kept: ControllerRevision,
  doubles: readonly ControllerRevision[],
  pods: readonly Pod[],
  signal: AbortSignal,
): Promise<void> {
  const labels = { [revisionLabel]: hashOf(kept) };
  const hashes = new Set(doubles.map(hashOf));
  for (const { metadata } of pods) {
    if (!hashes.has(metadata.labels?.[revisionLabel] ?? '')) continue;
    const { namespace, name = '' } = metadata;
    const options = { type: 'merge', signal } as const;
    await client
      .patch(podKind, { namespace, name }, { metadata: { labels } }, options)
      .catch(ignoreNotFound);
  }
  await deleteRevisions(client, doubles, { signal });
}

async function create(
  client: Client,
  set: DaemonSet,
  revision: number,
  signal: AbortSignal,
): Promise<ControllerRevision | undefined> {
  const template = set.spec?.template ?? {};
  const { collisionCount } = set.status ?? {};
  const hash = templateHash(template, collisionCount);
  const shape = { template, hash, hashLabel: revisionLabel, revision };
  const wanted = newRevision(set, setKind, shape);
  try {
    return await client.create(revisionKind, wanted, { signal });
  } catch (error) {
    if (!isReason(error, 'AlreadyExists')) throw error;
    const { namespace, name = '' } = wanted.metadata;
    const found = await client.get(revisionKind, { namespace, name }, { signal });
    if (holds(found, template)) return found;
    const zero = {
      currentNumberScheduled: 0,
      desiredNumberScheduled: 0,
      numberMisscheduled: 0,
      numberReady: 0,
    };
    const status = { ...zero, ...set.status, collisionCount: (collisionCount ?? 0) + 1 };
    await client.update(setKind, { ...set, status }, { subresource: 'status', signal });
    return undefined;
  }
}

/** Old revisions beyond the limit, oldest first; never one that a pod was made from. */
export function planHistory(
  set: DaemonSet,
  old: readonly ControllerRevision[],
  pods: readonly Pod[],
): readonly ControllerRevision[] {
  const surplus = old.length - (set.spec?.revisionHistoryLimit ?? 10);
  const live = new Set(pods.map(({ metadata }) => metadata.labels?.[revisionLabel]));
  const unused = old.filter((revision) => !live.has(hashOf(revision))).toSorted(compareRevisions);
  return unused.slice(0, Math.max(0, surplus));
}
