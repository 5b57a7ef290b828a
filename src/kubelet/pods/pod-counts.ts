/**
 * How many pods and containers this kubelet has begun, how many failed to begin, and how containers
 * ended: counters under upstream's names.
 *
 * Sandboxes and containers are counted where they are made, ends where a status first tells of
 * them, so that an end counts once however often it is looked at. `kubelet.ts` shows the metrics.
 */
import type { ContainerStatus, Pod, PodStatus } from '#resources/types/core-v1.ts';
import { Counter } from '../server/counter.ts';
import type { Metric } from '../server/exposition.ts';
import { ResizeCounts } from './resize-counts.ts';

const lists = [
  ['initContainerStatuses', 'init_container'],
  ['containerStatuses', 'container'],
  ['ephemeralContainerStatuses', 'ephemeral_container'],
] as const;

export class PodCounts {
  readonly resizes = new ResizeCounts();
  readonly #pods = new Counter('started_pods_total', 'Sandboxes begun.');
  readonly #podErrors = new Counter('started_pods_errors_total', 'Sandboxes that failed to begin.');
  readonly #userPods = new Counter(
    'started_user_namespaced_pods_total',
    'Pods with users of their own begun.',
  );
  readonly #userPodErrors = new Counter(
    'started_user_namespaced_pods_errors_total',
    'Pods with users of their own that failed to begin, or whose containers did.',
  );
  readonly #containers = new Counter('started_containers_total', 'Containers begun.', {
    labels: true,
  });
  readonly #containerErrors = new Counter(
    'started_containers_errors_total',
    'Containers that failed to begin, by reason.',
    { labels: true },
  );
  readonly #ends = new Counter('terminated_containers_total', 'Containers that ended.', {
    labels: true,
  });

  podStarts(pod: Pod): void {
    this.#pods.add();
    if (hasOwnUsers(pod)) this.#userPods.add();
  }

  podFailed(pod: Pod): void {
    this.#podErrors.add();
    if (hasOwnUsers(pod)) this.#userPodErrors.add();
  }

  containerStarts(pod: Pod, name: string): void {
    this.#containers.add({ container_type: typeOf(pod, name) });
  }

  containerFailed(pod: Pod, name: string, code: string): void {
    this.#containerErrors.add({ container_type: typeOf(pod, name), code });
    if (hasOwnUsers(pod)) this.#userPodErrors.add();
  }

  /** What the next status tells that the one before did not. */
  statusChanged(before: PodStatus, next: PodStatus): void {
    for (const [list, type] of lists) {
      const ended = new Set((before[list] ?? []).filter(hasEnded).map(({ name }) => name));
      for (const { name, state } of (next[list] ?? []).filter(hasEnded)) {
        const { exitCode = 0, reason = '' } = state?.terminated ?? {};
        if (ended.has(name)) continue;
        this.#ends.add({ container_type: type, exit_code: String(exitCode), reason });
      }
    }
  }

  metrics(): readonly Metric[] {
    const counters = [
      ...[this.#pods, this.#podErrors, this.#userPods, this.#userPodErrors],
      ...[this.#containers, this.#containerErrors, this.#ends],
    ];
    return [...counters.map((counter) => counter.metric()), ...this.resizes.metrics()];
  }
}

function hasEnded({ state }: ContainerStatus): boolean {
  return state?.terminated !== undefined;
}

function hasOwnUsers({ spec }: Pod): boolean {
  return spec?.hostUsers === false;
}

function typeOf({ spec }: Pod, name: string): string {
  const isIn = (list: readonly { readonly name: string }[] = []): boolean =>
    list.some((one) => one.name === name);
  if (isIn(spec?.initContainers)) return 'init_container';
  return isIn(spec?.ephemeralContainers) ? 'ephemeral_container' : 'container';
}
