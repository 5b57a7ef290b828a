/**
 * What the status of a namespace says while it is being emptied. Pure.
 *
 * Five conditions, as upstream writes them; each is written only once something was wrong or
 * remained, and turns to False when that is over. `namespace.ts` empties and writes.
 */
import { formatTime } from '#kit/clock.ts';
import type { NamespaceCondition } from '#resources/types/core-v1.ts';

export interface Remaining {
  /** As `pods.` or `deployments.apps`: upstream's resource and group, with the dot. */
  readonly resource: string;
  readonly count: number;
  /** How many of them wait for each finalizer. */
  readonly finalizers: ReadonlyMap<string, number>;
}

export interface Emptied {
  readonly remaining: readonly Remaining[];
  /** Why something could not be deleted. */
  readonly failures: readonly string[];
}

export function planConditions(
  before: readonly NamespaceCondition[],
  { remaining, failures }: Emptied,
  nowMs: number,
): readonly NamespaceCondition[] {
  const finalizers = new Map<string, number>();
  for (const kind of remaining) {
    for (const [name, count] of kind.finalizers) {
      finalizers.set(name, (finalizers.get(name) ?? 0) + count);
    }
  }
  const left = remaining.map(
    ({ resource, count }) => `${resource} has ${count} resource instances`,
  );
  const waiting = Array.from(
    finalizers,
    ([name, count]) => `${name} in ${count} resource instances`,
  );
  const conditions = [
    fine('NamespaceDeletionDiscoveryFailure', 'ResourcesDiscovered', discovered),
    fine('NamespaceDeletionGroupVersionParsingFailure', 'ParsedGroupVersions', parsed),
    failures.length === 0
      ? fine('NamespaceDeletionContentFailure', 'ContentDeleted', deleted)
      : trouble('NamespaceDeletionContentFailure', 'ContentDeletionFailed', failedText(failures)),
    left.length === 0
      ? fine('NamespaceContentRemaining', 'ContentRemoved', removed)
      : trouble('NamespaceContentRemaining', 'SomeResourcesRemain', leftText(left)),
    waiting.length === 0
      ? fine('NamespaceFinalizersRemaining', 'ContentHasNoFinalizers', finished)
      : trouble('NamespaceFinalizersRemaining', 'SomeFinalizersRemain', waitingText(waiting)),
  ];
  return conditions.map((next) => {
    const old = before.find((condition) => condition.type === next.type);
    const isSame = old?.status === next.status && old.reason === next.reason;
    if (isSame && old.message === next.message) return old;
    const kept = old?.status === next.status ? old.lastTransitionTime : undefined;
    return { ...next, lastTransitionTime: kept ?? formatTime(nowMs) };
  });
}

const discovered = 'All resources successfully discovered';
const parsed = 'All legacy kube types successfully parsed';
const deleted = 'All content successfully deleted, may be waiting on finalization';
const removed = 'All content successfully removed';
const finished = 'All content-preserving finalizers finished';

function failedText(failures: readonly string[]): string {
  const list = failures.join(', ');
  return `Failed to delete all resource types, ${failures.length} remaining: ${list}`;
}

function leftText(left: readonly string[]): string {
  return `Some resources are remaining: ${left.toSorted().join(', ')}`;
}

function waitingText(waiting: readonly string[]): string {
  const list = waiting.toSorted().join(', ');
  return `Some content in the namespace has finalizers remaining: ${list}`;
}

function fine(type: string, reason: string, message: string): NamespaceCondition {
  return { type, status: 'False', reason, message };
}

function trouble(type: string, reason: string, message: string): NamespaceCondition {
  return { type, status: 'True', reason, message };
}
