/**
 * `/metrics`: the few figures that this server keeps, under upstream's names, in Prometheus' text
 * format. Counting costs one map look-up a request; the text is made when somebody asks.
 */
import type { Catalog } from '#api/catalog.ts';
import type { Store } from '#store';
import { prefixOf } from '../registry.ts';

export interface CountedRequest {
  readonly verb: string;
  /** Plural, or empty for plain paths. */
  readonly resource: string;
  readonly code: number;
  readonly tookMs: number;
}

interface Histogram {
  readonly counts: number[];
  sum: number;
  count: number;
}

/** Upstream's buckets of apiserver_request_duration_seconds. */
const buckets = [
  0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45,
  60,
] as const;

/** Kinds of request told apart; beyond that they are counted together. */
const seriesMax = 5_000;

export class Metrics {
  readonly #requests = new Map<string, number>();
  readonly #durations = new Map<string, Histogram>();
  #bugs = 0;

  countBug(): void {
    this.#bugs += 1;
  }

  get bugs(): number {
    return this.#bugs;
  }

  countRequest({ verb, resource, code, tookMs }: CountedRequest): void {
    const name = this.#requests.size < seriesMax ? resource : '';
    const series = `${verb}|${name}|${code}`;
    this.#requests.set(series, (this.#requests.get(series) ?? 0) + 1);
    if (verb === 'watch') return;
    const key = `${verb}|${name}`;
    let histogram = this.#durations.get(key);
    if (histogram === undefined) {
      histogram = { counts: buckets.map(() => 0), sum: 0, count: 0 };
      this.#durations.set(key, histogram);
    }
    const seconds = tookMs / 1000;
    histogram.sum += seconds;
    histogram.count += 1;
    for (let index = buckets.length - 1; index >= 0; index--) {
      if (seconds > (buckets[index] ?? 0)) break;
      histogram.counts[index] = (histogram.counts[index] ?? 0) + 1;
    }
  }

  format(deps: {
    readonly store: Store;
    readonly catalog: Catalog;
    readonly watches: number;
  }): string {
    return [
      ...this.#formatRequests(),
      ...this.#formatDurations(),
      '# TYPE apiserver_storage_objects gauge',
      ...[...deps.catalog.resources].map((resource) => {
        const group = resource.views[0]?.group ?? '';
        const name = group === '' ? resource.plural : `${resource.plural}.${group}`;
        const count = deps.store.count(prefixOf(resource, ''));
        return `apiserver_storage_objects{resource="${name}"} ${count}`;
      }),
      '# TYPE apiserver_longrunning_requests gauge',
      `apiserver_longrunning_requests{verb="WATCH"} ${deps.watches}`,
      '# TYPE bugs_total counter',
      `bugs_total ${this.#bugs}`,
      '',
    ].join('\n');
  }

  *#formatRequests(): Iterable<string> {
    yield '# TYPE apiserver_request_total counter';
    for (const [series, count] of this.#requests) {
      const [verb = '', resource = '', code = ''] = series.split('|');
      yield `apiserver_request_total{code="${code}",resource="${resource}",verb="${verb.toUpperCase()}"} ${count}`;
    }
  }

  *#formatDurations(): Iterable<string> {
    const name = 'apiserver_request_duration_seconds';
    yield `# TYPE ${name} histogram`;
    for (const [series, { counts, sum, count }] of this.#durations) {
      const [verb = '', resource = ''] = series.split('|');
      const labels = `resource="${resource}",verb="${verb.toUpperCase()}"`;
      for (const [index, bound] of buckets.entries()) {
        yield `${name}_bucket{${labels},le="${bound}"} ${counts[index]}`;
      }
      yield `${name}_bucket{${labels},le="+Inf"} ${count}`;
      yield `${name}_sum{${labels}} ${sum}`;
      yield `${name}_count{${labels}} ${count}`;
    }
  }
}
