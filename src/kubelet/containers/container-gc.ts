/**
 * Which dead containers go: of each container of a pod the newest few stay, for their logs, and of
 * all together as many as may; the oldest go first. Pure; `housekeeping.ts` asks every minute and
 * removes. The newest of each is kept in any case: it says how the container ended.
 *
 * Numbers: kubernetes.io, Garbage Collection of containers.
 */
import type { KubeletSettings } from '../settings.ts';

export interface DeadContainer {
  readonly id: string;
  readonly podUid: string;
  readonly name: string;
  readonly createdAtMs: number;
  /** One of the same pod and name was made later. */
  readonly isReplaced: boolean;
}

type Policy = Pick<
  KubeletSettings,
  'deadContainerMinimumAgeMs' | 'deadContainersMaxEach' | 'deadContainersMax'
>;

/** Ids, the oldest first. With 6 dead ones of 3 containers and at most 3 in all: one of each. */
export function planContainerGC(
  containers: readonly DeadContainer[],
  policy: Policy,
  nowMs: number,
): readonly string[] {
  const { deadContainerMinimumAgeMs, deadContainersMaxEach, deadContainersMax } = policy;
  const old = containers
    .filter(({ createdAtMs }) => nowMs - createdAtMs >= deadContainerMinimumAgeMs)
    .toSorted((a, b) => b.createdAtMs - a.createdAtMs);
  const units = [...Map.groupBy(old, ({ podUid, name }) => `${podUid}/${name}`).values()];
  const keep = (max: number): readonly DeadContainer[] =>
    units.flatMap((unit) => unit.filter(({ isReplaced }, index) => index < max || !isReplaced));
  let kept = deadContainersMaxEach < 0 ? old : keep(deadContainersMaxEach);
  if (deadContainersMax >= 0 && kept.length > deadContainersMax) {
    const each = Math.max(Math.floor(deadContainersMax / units.length), 1);
    kept = keep(deadContainersMaxEach < 0 ? each : Math.min(each, deadContainersMaxEach));
  }
  if (deadContainersMax >= 0 && kept.length > deadContainersMax) {
    const needed = kept.filter(({ isReplaced }) => !isReplaced);
    const room = Math.max(deadContainersMax - needed.length, 0);
    const newest = kept
      .filter(({ isReplaced }) => isReplaced)
      .toSorted((a, b) => b.createdAtMs - a.createdAtMs);
    kept = [...needed, ...newest.slice(0, room)];
  }
  const ids = new Set(kept.map(({ id }) => id));
  return old.toReversed().flatMap(({ id }) => (ids.has(id) ? [] : [id]));
}
