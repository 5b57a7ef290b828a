/**
 * Deletes a pod whose place has become unfit, with the reason in its condition DisruptionTarget.
 *
 * For the controllers of taints on nodes and on devices, which record their own Events.
 */
import { formatTime } from '#kit/clock.ts';
import { pods as podKind } from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { ControllerDeps } from './controller.ts';

export async function evictPod(
  { client, clock, figures }: Pick<ControllerDeps, 'client' | 'clock' | 'figures'>,
  pod: Pod,
  {
    why,
    due,
    signal,
  }: {
    readonly why: { readonly reason: string; readonly message: string };
    /** Who counts it, and since when it should be gone. */
    readonly due: {
      readonly by: 'taint_eviction_controller' | 'device_taint_eviction_controller';
      readonly atMs: number;
    };
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { namespace, name = '', uid = '' } = pod.metadata;
  const lastTransitionTime = formatTime(clock.now());
  const condition = { type: 'DisruptionTarget', status: 'True', ...why, lastTransitionTime };
  const others = pod.status?.conditions?.filter(({ type }) => type !== condition.type) ?? [];
  const status = { ...pod.status, conditions: [...others, condition] };
  await client.update(podKind, { ...pod, status }, { subresource: 'status', signal });
  await client.delete(podKind, { namespace, name }, { preconditions: { uid }, signal });
  figures.count(`${due.by}_pod_deletions_total`);
  const seconds = (clock.now() - due.atMs) / 1000;
  figures.observe(`${due.by}_pod_deletion_duration_seconds`, [], seconds);
}
