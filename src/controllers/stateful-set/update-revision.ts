/**
 * Sees to it that the revision of a StatefulSet's template exists, and has the highest number.
 *
 * Should another revision have the name already, the number of collisions goes into the hash, until
 * a name is free or turns out to be this very template's (an earlier attempt did succeed). Called
 * by `stateful-set.ts` at the start of each turn; `revisions.ts` decides.
 */
import { isReason } from '#api/errors.ts';
import type { Client } from '#client';
import { controllerRevisions as revisionKind, statefulSets as setKind } from '#resources/kinds.ts';
import type { ControllerRevision, StatefulSet } from '#resources/types/apps-v1.ts';
import { holds, newRevision, revisionHash } from '../controller-revision.ts';
import type { Revision } from './plan.ts';
import { planUpdateRevision } from './revisions.ts';

const hashLabel = 'controller.kubernetes.io/hash';

export interface Settled {
  readonly update: Revision;
  readonly collisionCount: number;
}

export async function settleUpdateRevision(
  client: Client,
  set: StatefulSet,
  revisions: readonly ControllerRevision[],
  signal: AbortSignal,
): Promise<Settled> {
  const template = set.spec?.template ?? {};
  const collisionCount = set.status?.collisionCount ?? 0;
  const settled = (revision: ControllerRevision, collisions = collisionCount): Settled => ({
    update: { name: revision.metadata.name ?? '', template },
    collisionCount: collisions,
  });
  // A set that is going gets no new dependants, which its deletion would have to wait for.
  if (set.metadata.deletionTimestamp !== undefined) {
    return { update: { name: set.status?.updateRevision ?? '', template }, collisionCount };
  }
  const plan = planUpdateRevision(set, revisions);
  switch (plan.do) {
    case 'keep':
      return settled(plan.revision);
    case 'renumber': {
      const next = { ...plan.revision, revision: plan.to };
      return settled(await client.update(revisionKind, next, { signal }));
    }
    case 'create': {
      for (let collisions = collisionCount; ; collisions++) {
        const hash = revisionHash(template, collisions);
        const shape = { template, hash, hashLabel, revision: plan.number };
        const revision = newRevision(set, setKind, shape);
        const made = await create(client, revision, set, signal);
        if (made !== undefined) return settled(made, collisions);
      }
    }
    default:
      return plan satisfies never;
  }
}

/** Undefined where the name belongs to another template. */
async function create(
  client: Client,
  revision: ControllerRevision,
  set: StatefulSet,
  signal: AbortSignal,
): Promise<ControllerRevision | undefined> {
  try {
    return await client.create(revisionKind, revision, { signal });
  } catch (error) {
    if (!isReason(error, 'AlreadyExists')) throw error;
    const { namespace, name = '' } = revision.metadata;
    const found = await client.get(revisionKind, { namespace, name }, { signal });
    return holds(found, set.spec?.template ?? {}) ? found : undefined;
  }
}
