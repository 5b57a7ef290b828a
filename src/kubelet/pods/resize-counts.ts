/**
 * How often other CPU and memory were asked for, how often that could never be, and how long it
 * took to give them, under upstream's names. How many wait is told by the pods' conditions
 * (`../server/metrics.ts`).
 */
import { compareQuantities, quantityValue } from '#api/quantity.ts';
import type { Container, Pod } from '#resources/types/core-v1.ts';
import { Counter } from '../server/counter.ts';
import type { Metric } from '../server/exposition.ts';
import { Histogram } from '../server/histogram.ts';
import { containersOf, initContainersOf } from './pod-facts.ts';

export type NeverBecause =
  | 'swap_limitation'
  | 'guaranteed_pod_cpu_manager_static_policy'
  | 'guaranteed_pod_memory_manager_static_policy';

const boundsMs = [
  ...[10, 50, 100, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000],
  600_000,
];

export class ResizeCounts {
  readonly #asked = new Counter(
    'container_requested_resizes_total',
    'Changes of resources asked for, of each container and resource.',
    { labels: true },
  );
  readonly #never = new Counter(
    'pod_infeasible_resizes_total',
    'Resizes that were found to be impossible.',
    { labels: true },
  );
  /** By whether it went well. */
  readonly #durations = new Map<boolean, Histogram>();

  asked(before: Pod, next: Pod): void {
    const old = new Map(all(before).map((container) => [container.name, container]));
    for (const { name, resources } of all(next)) {
      const had = old.get(name)?.resources;
      for (const resource of ['memory', 'cpu'] as const) {
        for (const requirement of ['requests', 'limits'] as const) {
          const operation = operationOf(
            had?.[requirement]?.[resource] ?? '0',
            resources?.[requirement]?.[resource] ?? '0',
          );
          if (operation !== undefined) this.#asked.add({ resource, requirement, operation });
        }
      }
    }
  }

  never(detail: NeverBecause): void {
    this.#never.add({ reason_detail: detail });
  }

  took(durationMs: number, isDone: boolean): void {
    const durations = this.#durations.get(isDone) ?? new Histogram(boundsMs);
    this.#durations.set(isDone, durations);
    durations.observe(durationMs);
  }

  metrics(): readonly Metric[] {
    const samples = [...this.#durations].flatMap(([isDone, durations]) =>
      durations.samples().map((sample) => ({
        ...sample,
        labels: { success: String(isDone), ...sample.labels },
      })),
    );
    const name = 'kubelet_pod_resize_duration_milliseconds';
    const help = 'How long it took to give pods other resources.';
    return [this.#asked.metric(), this.#never.metric(), { name, help, type: 'histogram', samples }];
  }
}

function all(pod: Pod): readonly Container[] {
  return [...initContainersOf(pod), ...containersOf(pod)];
}

function operationOf(before: string, next: string): string | undefined {
  const difference = compareQuantities(next, before);
  if (difference === 0) return undefined;
  if (quantityValue(before) === 0) return 'add';
  if (quantityValue(next) === 0) return 'remove';
  return difference < 0 ? 'decrease' : 'increase';
}
