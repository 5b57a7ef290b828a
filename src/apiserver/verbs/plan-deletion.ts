/**
 * What a delete does to an object, as a pure decision.
 *
 * Example: a running pod with 30 s of grace is marked: deletionTimestamp = now + 30 s. A second
 * delete with 5 s of grace pulls the time forward by 25 s; one with 0 s removes the pod. A pod
 * without a node, or one that has ended, has nobody to say goodbye to and goes at once.
 */
import type { KubeObject, ObjectMeta } from '#api/object.ts';
import type { Resource } from '#api/resource.ts';
import { formatTime } from '#kit/clock.ts';
import type { DeleteOptions, Propagation } from './delete-options.ts';

export type DeletionPlan =
  | { readonly do: 'nothing' }
  | { readonly do: 'mark'; readonly hub: KubeObject; readonly status: 200 | 202 }
  /** `ended`: how the object looks at its end, where its kind knows of grace. */
  | { readonly do: 'remove'; readonly ended?: (hub: KubeObject) => KubeObject };

const orphanFinalizer = 'orphan';
const foregroundFinalizer = 'foregroundDeletion';

export function planDeletion(
  resource: Resource,
  hub: KubeObject,
  options: DeleteOptions,
  nowMs: number,
): DeletionPlan {
  if (isNamespace(hub)) return planNamespaceDeletion(resource, hub, options, nowMs);
  const finalizers = finalizersFor(resource, hub, options);
  const graceSeconds = graceFor(resource, hub, options);
  const status = options.accepted ? 202 : 200;
  const { deletionTimestamp } = hub.metadata;
  if (deletionTimestamp !== undefined) {
    return planSecondDelete(resource, hub, { finalizers, graceSeconds, deletionTimestamp });
  }
  if (graceSeconds === 0 && finalizers.length === 0) {
    if (resource.gracePeriodSeconds === undefined) return { do: 'remove' };
    const end = { deletionTimestamp: formatTime(nowMs), deletionGracePeriodSeconds: 0 };
    return { do: 'remove', ended: (removed) => mark(removed, finalizers, end) };
  }
  const marked = mark(hub, finalizers, {
    deletionTimestamp: formatTime(nowMs + graceSeconds * 1000),
    deletionGracePeriodSeconds: graceSeconds,
  });
  return { do: 'mark', hub: marked, status: graceSeconds > 0 ? 200 : status };
}

function planSecondDelete(
  resource: Resource,
  hub: KubeObject,
  {
    finalizers,
    graceSeconds,
    deletionTimestamp,
  }: {
    readonly finalizers: readonly string[];
    readonly graceSeconds: number;
    readonly deletionTimestamp: string;
  },
): DeletionPlan {
  const before = hub.metadata.deletionGracePeriodSeconds ?? 0;
  const shorter = resource.gracePeriodSeconds !== undefined && graceSeconds < before;
  if (finalizers.length === 0 && (shorter ? graceSeconds : before) === 0) return { do: 'remove' };
  const added = finalizers.join() !== (hub.metadata.finalizers ?? []).join();
  if (!shorter && !added) return { do: 'nothing' };
  const earlierMs = shorter ? (before - graceSeconds) * 1000 : 0;
  const marked = mark(hub, finalizers, {
    deletionTimestamp: formatTime(Date.parse(deletionTimestamp) - earlierMs),
    deletionGracePeriodSeconds: shorter ? graceSeconds : before,
  });
  return { do: 'mark', hub: marked, status: 200 };
}

function mark(
  hub: KubeObject,
  finalizers: readonly string[],
  deletion: Pick<ObjectMeta, 'deletionTimestamp' | 'deletionGracePeriodSeconds'>,
): KubeObject {
  const { finalizers: _finalizers, ...metadata } = hub.metadata;
  const { generation } = metadata;
  const first = metadata.deletionTimestamp === undefined;
  return {
    ...hub,
    metadata: {
      ...metadata,
      ...deletion,
      ...(finalizers.length === 0 ? {} : { finalizers }),
      // The wish to be gone is part of what is wanted, so it counts as a generation.
      ...(first && generation !== undefined ? { generation: generation + 1 } : {}),
    },
  };
}

function graceFor(resource: Resource, hub: KubeObject, options: DeleteOptions): number {
  if (resource.gracePeriodSeconds === undefined || endsAtOnce(hub)) return 0;
  const seconds = options.gracePeriodSeconds ?? resource.gracePeriodSeconds(hub) ?? 0;
  return seconds < 0 ? 1 : seconds;
}

/** A pod that nobody runs: not scheduled yet, or over. */
function endsAtOnce(hub: KubeObject): boolean {
  if (hub.kind !== 'Pod') return false;
  // Stored pods have this shape.
  const { spec, status } = hub as KubeObject & {
    readonly spec?: { readonly nodeName?: string };
    readonly status?: { readonly phase?: string };
  };
  if ((spec?.nodeName ?? '') === '') return true;
  return status?.phase === 'Succeeded' || status?.phase === 'Failed';
}

function finalizersFor(
  resource: Resource,
  hub: KubeObject,
  options: DeleteOptions,
): readonly string[] {
  const given = hub.metadata.finalizers ?? [];
  if (resource.defaultPropagation === 'none') return given;
  const kept = given.filter((name) => name !== orphanFinalizer && name !== foregroundFinalizer);
  const propagation = options.propagation ?? impliedPropagation(resource, given);
  switch (propagation) {
    case 'Orphan':
      return [...kept, orphanFinalizer];
    case 'Foreground':
      return [...kept, foregroundFinalizer];
    case 'Background':
      return kept;
    default:
      return propagation satisfies never;
  }
}

/** Without a wish of the client: what the finalizers say already, else what the kind says. */
function impliedPropagation(resource: Resource, finalizers: readonly string[]): Propagation {
  if (finalizers.includes(orphanFinalizer)) return 'Orphan';
  if (finalizers.includes(foregroundFinalizer)) return 'Foreground';
  if (resource.defaultPropagation === 'orphan') return 'Orphan';
  return resource.defaultPropagation === 'foreground' ? 'Foreground' : 'Background';
}

function isNamespace(hub: KubeObject): boolean {
  return hub.kind === 'Namespace' && hub.apiVersion === 'v1';
}

/** A namespace becomes Terminating; its content goes first, then its own finalizer, then it. */
function planNamespaceDeletion(
  resource: Resource,
  hub: KubeObject,
  options: DeleteOptions,
  nowMs: number,
): DeletionPlan {
  // Stored namespaces have this shape.
  const namespace = hub as KubeObject & {
    readonly spec?: { readonly finalizers?: readonly string[] };
    readonly status?: object;
  };
  const { deletionTimestamp } = hub.metadata;
  const finalizers = finalizersFor(resource, hub, options);
  const waits = finalizers.length > 0 || (namespace.spec?.finalizers ?? []).length > 0;
  if (!waits) return { do: 'remove' };
  if (deletionTimestamp !== undefined) return { do: 'nothing' };
  const marked = mark(hub, finalizers, { deletionTimestamp: formatTime(nowMs) });
  const terminating = {
    ...marked,
    status: { ...namespace.status, phase: 'Terminating' },
  };
  return {
    do: 'mark',
    hub: terminating,
    status: options.accepted ? 202 : 200,
  };
}
