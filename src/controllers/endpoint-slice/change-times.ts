/**
 * When what stands behind a Service last changed. Its endpoints say so in the annotation
 * `endpoints.kubernetes.io/last-change-trigger-time`, from which the delay until a node serves them
 * is measured.
 *
 * Of all times that are newer than those seen before (of pods becoming ready or not, of the Service
 * itself) the earliest: the one that has waited longest. Undefined where nothing is newer.
 */
import { objectKey } from '#api/object.ts';
import type { Pod, Service } from '#resources/types/core-v1.ts';
import { conditionOf } from '../pod-state.ts';

export const changeTimeAnnotation = 'endpoints.kubernetes.io/last-change-trigger-time';

interface Seen {
  readonly serviceAt: string;
  readonly podsAt: ReadonlyMap<string, string>;
}

export class ChangeTimes {
  readonly #seen = new Map<string, Seen>();

  of(service: Service, pods: readonly Pod[]): string | undefined {
    const before = this.#seen.get(objectKey(service));
    const { creationTimestamp: serviceAt = '' } = service.metadata;
    const podsAt = new Map<string, string>();
    let earliest: string | undefined;
    const newer = (at: string, than: string | undefined): void => {
      if (at !== '' && at > (than ?? '') && (earliest === undefined || at < earliest))
        earliest = at;
    };
    newer(serviceAt, before?.serviceAt);
    for (const pod of pods) {
      const at = conditionOf(pod, 'Ready')?.lastTransitionTime ?? '';
      const name = pod.metadata.name ?? '';
      podsAt.set(name, at);
      newer(at, before?.podsAt.get(name));
    }
    this.#seen.set(objectKey(service), { serviceAt, podsAt });
    return earliest;
  }

  forget(serviceKey: string): void {
    this.#seen.delete(serviceKey);
  }
}
