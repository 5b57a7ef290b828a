/**
 * The wish of old clients to go back to an earlier revision (`spec.rollbackTo` of the first API
 * versions, an annotation today). Pure.
 *
 * The template of that revision's set becomes the Deployment's again, with the annotations that the
 * set was made with; the wish is taken back in any case. What follows is an ordinary rollout.
 * Today's clients change the template themselves and never come here.
 */
import type { Deployment, ReplicaSet } from '#resources/types/apps-v1.ts';
import { annotations, compareRevision, keptBack, revisionOf } from './revision.ts';
import { isSameTemplate, withoutHash } from './template-hash.ts';

export interface Rollback {
  readonly deployment: Deployment;
  readonly note: {
    readonly type: 'Normal' | 'Warning';
    readonly reason: string;
    readonly message: string;
  };
}

/** Undefined where nobody wishes it. */
export function planRollback(
  deployment: Deployment,
  sets: readonly ReplicaSet[],
): Rollback | undefined {
  const wish = deployment.metadata.annotations?.[annotations.rollback] ?? '';
  if (!/^-?\d{1,19}$/.test(wish)) return undefined;
  const cleared = withoutWish(deployment);
  const revision = BigInt(wish) === 0n ? lastRevision(sets) : BigInt(wish);
  if (revision === undefined) return notFound(cleared, 'Unable to find last revision.');
  const target = sets.find((set) => revisionOf(set) === revision);
  if (target === undefined) {
    return notFound(cleared, 'Unable to find the revision to rollback to.');
  }
  const { name } = deployment.metadata;
  if (isSameTemplate(target.spec?.template, deployment.spec?.template)) {
    const reason = 'DeploymentRollbackTemplateUnchanged';
    const message = `The rollback revision contains the same template as current deployment "${name}"`;
    return { deployment: cleared, note: { type: 'Warning', reason, message } };
  }
  const message = `Rolled back deployment "${name}" to revision ${revision}`;
  return {
    deployment: restored(cleared, target),
    note: { type: 'Normal', reason: 'DeploymentRollback', message },
  };
}

function notFound(deployment: Deployment, message: string): Rollback {
  const reason = 'DeploymentRollbackRevisionNotFound';
  return { deployment, note: { type: 'Warning', reason, message } };
}

function withoutWish(deployment: Deployment): Deployment {
  const { [annotations.rollback]: _, ...kept } = deployment.metadata.annotations ?? {};
  return { ...deployment, metadata: { ...deployment.metadata, annotations: kept } };
}

/** The one before the newest. */
function lastRevision(sets: readonly ReplicaSet[]): bigint | undefined {
  const [, before] = sets.toSorted(compareRevision).toReversed();
  const revision = before === undefined ? 0n : revisionOf(before);
  return revision === 0n ? undefined : revision;
}

function restored(deployment: Deployment, set: ReplicaSet): Deployment {
  const own = Object.entries(deployment.metadata.annotations ?? {});
  const theirs = Object.entries(set.metadata.annotations ?? {});
  const next = Object.fromEntries([
    ...own.filter(([name]) => keptBack.has(name)),
    ...theirs.filter(([name]) => !keptBack.has(name)),
  ]);
  const metadata = { ...deployment.metadata, annotations: next };
  const template = withoutHash(set.spec?.template);
  const { spec } = deployment;
  return {
    ...deployment,
    metadata,
    ...(spec === undefined ? {} : { spec: { ...spec, template } }),
  };
}
