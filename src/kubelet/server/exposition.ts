/**
 * Figures in the text that Prometheus reads: name, help and type once, then one line a sample.
 * Pure.
 */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly samples: readonly Sample[];
}

export interface Sample {
  /** Of the name, in a histogram: `_bucket`, `_sum`, `_count`. */
  readonly suffix?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly value: number;
  /** When it was measured; the reader's time if absent. */
  readonly atMs?: number | undefined;
}

export function formatMetrics(metrics: readonly Metric[]): string {
  const lines: string[] = [];
  for (const { name, help, type, samples } of metrics) {
    if (samples.length === 0) continue;
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    for (const { suffix = '', labels = {}, value, atMs } of samples) {
      const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`);
      const braces = pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
      lines.push(
        `${name}${suffix}${braces} ${value}${atMs === undefined ? '' : ` ${Math.floor(atMs)}`}`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
