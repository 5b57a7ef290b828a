/**
 * Numbers of one run, and how they are shown: rates and latencies as a line of text each, with the
 * ratio to upstream where it ran beside ours, and all of it as JSON at the end.
 */

export interface Figure {
  /** Operations a second, milliseconds or MiB. */
  readonly value: number;
  readonly unit: '/s' | 'ms' | 'MiB' | 'KiB';
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  /** Operations altogether, warming up included. */
  readonly count?: number;
  /** What else was seen, as `get p99 meanwhile`. */
  readonly beside?: Readonly<Record<string, number>>;
}

export interface Measured {
  readonly ours: Figure;
  readonly upstream?: Figure | undefined;
  /** Ours against upstream: how many times as fast, or what share of the time or memory. */
  readonly ratio?: number | undefined;
}

export function latencies(timesMs: readonly number[]): { p50Ms: number; p99Ms: number } {
  const sorted = Float64Array.from(timesMs).sort();
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** The better of two runs: others use the machine too, and only ever slow it down. */
export function better(a: Figure | undefined, b: Figure): Figure {
  if (a === undefined) return b;
  const isRate = b.unit === '/s';
  return (isRate ? b.value > a.value : b.value < a.value) ? b : a;
}

export function measured(ours: Figure, upstream: Figure | undefined): Measured {
  if (upstream === undefined) return { ours };
  return { ours, upstream, ratio: ours.value / upstream.value };
}

export function formatMeasured(name: string, { ours, upstream, ratio }: Measured): string {
  const line = `${name.padEnd(44)} ${formatFigure(ours)}`;
  if (upstream === undefined || ratio === undefined) return line;
  return `${line}\n${''.padEnd(44)} ${formatFigure(upstream)} upstream, ratio ${ratio.toFixed(2)}`;
}

function formatFigure({ value, unit, p50Ms, p99Ms, beside = {} }: Figure): string {
  const digits = value < 100 ? 1 : 0;
  const tail = [
    ...(p50Ms === undefined ? [] : [`p50 ${p50Ms.toFixed(2)} ms`]),
    ...(p99Ms === undefined ? [] : [`p99 ${p99Ms.toFixed(2)} ms`]),
    ...Object.entries(beside).map(([name, number]) => `${name} ${number.toFixed(1)}`),
  ];
  return [`${value.toFixed(digits)} ${unit}`.padStart(12), ...tail].join(', ');
}
