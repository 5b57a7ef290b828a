/**
 * When a pod has to leave its node because of taints. Pure.
 *
 * A NoExecute taint drives away a pod that does not tolerate it: at once, or after the
 * `tolerationSeconds` of the toleration that matches. Of several taints the earliest counts. A pod
 * that comes to a node which is tainted already has its time from then on.
 *
 * Example: taint `unreachable` added at 100 s, tolerated for 300 s: the pod leaves at 400 s. A
 * second taint that it does not tolerate: at once. Behaviour: kubernetes.io, "Taints and
 * Tolerations".
 */
import type { Pod, Taint, Toleration } from '#resources/types/core-v1.ts';

/** A taint, and since when it has been there. */
export interface DatedTaint {
  readonly taint: Taint;
  readonly sinceMs: number;
}

/** The moment to delete the pod; `undefined`: it may stay. */
export function planEviction(
  pod: Pod,
  taints: readonly DatedTaint[],
  nowMs: number,
): number | undefined {
  const placedMs = placedSinceMs(pod);
  let leaveMs: number | undefined;
  for (const { taint, sinceMs } of taints) {
    if (taint.effect !== 'NoExecute') continue;
    const seconds = toleratedSeconds(pod.spec?.tolerations ?? [], taint);
    if (seconds === Number.POSITIVE_INFINITY) continue;
    const fromMs = Math.max(sinceMs, placedMs);
    const untilMs = seconds <= 0 ? nowMs : fromMs + seconds * 1000;
    leaveMs = Math.min(leaveMs ?? untilMs, untilMs);
  }
  return leaveMs;
}

/** When it was given its node. */
function placedSinceMs({ metadata, status }: Pod): number {
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled');
  const at = scheduled?.lastTransitionTime ?? metadata.creationTimestamp;
  return at === undefined ? Number.NEGATIVE_INFINITY : Date.parse(at);
}

/** The shortest time of all tolerations that match; 0 where none does. */
function toleratedSeconds(tolerations: readonly Toleration[], taint: Taint): number {
  const matching = tolerations.filter((toleration) => tolerates(toleration, taint));
  if (matching.length === 0) return 0;
  return Math.min(
    ...matching.map(({ tolerationSeconds }) => tolerationSeconds ?? Number.POSITIVE_INFINITY),
  );
}

function tolerates({ effect, key, operator, value }: Toleration, taint: Taint): boolean {
  if (effect && effect !== taint.effect) return false;
  if (key && key !== taint.key) return false;
  if (operator === 'Exists') return true;
  return (key ?? '') !== '' && (value ?? '') === (taint.value ?? '');
}
