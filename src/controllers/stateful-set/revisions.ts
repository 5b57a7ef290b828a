/**
 * Which revision a StatefulSet is at, which it goes to, and which old ones may be forgotten. Pure.
 *
 * The template of now is the newest revision; or an older one again (a rollback), which then gets
 * the highest number; or a new one. What the pods were last complete at, by the status, is the
 * current one. `stateful-set.ts` writes what is to be written, and asks `plan.ts`.
 */
import type { ControllerRevision, StatefulSet } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { compareRevisions, highestOf, holds } from '../controller-revision.ts';
import { revisionOf } from './identity.ts';

export type UpdateRevision =
  | { readonly do: 'keep'; readonly revision: ControllerRevision }
  | { readonly do: 'renumber'; readonly revision: ControllerRevision; readonly to: number }
  | { readonly do: 'create'; readonly number: number };

export function planUpdateRevision(
  set: StatefulSet,
  revisions: readonly ControllerRevision[],
): UpdateRevision {
  const sorted = revisions.toSorted(compareRevisions);
  const template = set.spec?.template ?? {};
  const equal = sorted.findLast((revision) => holds(revision, template));
  const next = highestOf(sorted) + 1;
  if (equal === undefined) return { do: 'create', number: next };
  const newest = sorted.at(-1);
  return newest === equal
    ? { do: 'keep', revision: equal }
    : { do: 'renumber', revision: equal, to: next };
}

/** Old revisions beyond the limit, oldest first; never one that a pod was made from. */
export function planHistory(
  set: StatefulSet,
  revisions: readonly ControllerRevision[],
  pods: readonly Pod[],
  live: readonly string[],
): readonly ControllerRevision[] {
  const limit = set.spec?.revisionHistoryLimit;
  if (limit === undefined || limit < 0) return [];
  const used = new Set([...live, ...pods.map(revisionOf)]);
  const unused = revisions
    .filter(({ metadata }) => !used.has(metadata.name ?? ''))
    .toSorted(compareRevisions);
  return unused.slice(0, Math.max(0, unused.length - limit));
}
