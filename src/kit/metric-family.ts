/**
 * One metric with its labels: a counter, a gauge or a histogram, and its text for Prometheus.
 *
 * Series appear when they are first counted. Used by the API server, the controllers and the
 * scheduler.
 */

type MetricType = 'counter' | 'gauge' | 'histogram';

export interface FamilyOptions {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds, of a histogram. */
  readonly buckets?: readonly number[] | undefined;
}

interface Series {
  readonly labels: readonly string[];
  value: number;
  count: number;
  readonly counts: number[];
}

export class Family {
  readonly #type: MetricType;
  readonly #options: FamilyOptions;
  readonly #series = new Map<string, Series>();

  constructor(type: MetricType, options: FamilyOptions) {
    this.#type = type;
    this.#options = options;
  }

  add(labels: readonly string[], times: number): void {
    this.#of(labels).value += times;
  }

  set(labels: readonly string[], value: number): void {
    this.#of(labels).value = value;
  }

  observe(labels: readonly string[], value: number): void {
    const series = this.#of(labels);
    const { buckets = [] } = this.#options;
    series.value += value;
    series.count += 1;
    const index = buckets.findIndex((bound) => value <= bound);
    if (index >= 0) series.counts[index] = (series.counts[index] ?? 0) + 1;
  }

  clear(): void {
    this.#series.clear();
  }

  /** How many series there are: labels out of requests have to be bounded. */
  get size(): number {
    return this.#series.size;
  }

  format(): string {
    const { name, help } = this.#options;
    let text = `${[...familyHead(name, this.#type, help)].join('\n')}\n`;
    for (const series of this.#series.values()) text += this.#formatSeries(series);
    return text;
  }

  #formatSeries({ labels, value, count, counts }: Series): string {
    const { name, buckets = [] } = this.#options;
    if (this.#type !== 'histogram') return `${name}${this.#labelText(labels)} ${value}\n`;
    let text = '';
    let sum = 0;
    buckets.forEach((bound, index) => {
      sum += counts[index] ?? 0;
      text += `${name}_bucket${this.#labelText(labels, String(bound))} ${sum}\n`;
    });
    text += `${name}_bucket${this.#labelText(labels, '+Inf')} ${count}\n`;
    const own = this.#labelText(labels);
    return `${text}${name}_sum${own} ${value}\n${name}_count${own} ${count}\n`;
  }

  #labelText(values: readonly string[], le?: string): string {
    const pairs = this.#options.labels.map((label, index) => [label, values[index] ?? '']);
    if (le !== undefined) pairs.push(['le', le]);
    if (pairs.length === 0) return '';
    return `{${pairs.map(([label, value = '']) => `${label}="${escaped(value)}"`).join(',')}}`;
  }

  #of(labels: readonly string[]): Series {
    const [first = ''] = labels;
    const key = labels.length > 1 ? labels.join('\n') : first;
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    const fresh: Series = { labels, value: 0, count: 0, counts: [] };
    this.#series.set(key, fresh);
    return fresh;
  }
}

/** The lines before the series of a metric. */
export function* familyHead(name: string, type: MetricType, help: string): Iterable<string> {
  yield `# HELP ${name} ${help}`;
  yield `# TYPE ${name} ${type}`;
}

/** The lines of a gauge without labels. */
export function* gaugeLines(name: string, help: string, value: number): Iterable<string> {
  yield* familyHead(name, 'gauge', help);
  yield `${name} ${value}`;
}

/** All else stands as it is, whatever it is: the format knows no other escapes. */
function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/** Each bound `factor` times the one before. */
export function exponential(first: number, factor: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => first * factor ** index);
}
