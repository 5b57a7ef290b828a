/**
 * A number, or text that is a percentage (`25%`) or a name (`http`): ports of probes and Services,
 * bounds of rolling updates. Here is what turns a percentage into a count.
 */
export type IntOrString = number | string;

const percentRegExp = /^([+-]?\d+)%$/;

/** 25 of `25%`; undefined for a number or other text. */
export function parsePercent(value: IntOrString): number | undefined {
  if (typeof value === 'number') return undefined;
  const match = percentRegExp.exec(value);
  return match === null ? undefined : Number(match[1]);
}

/**
 * The count that a number or percentage of `total` stands for. A percentage is rounded up or down
 * as `round` says; undefined where the text is no percentage.
 */
export function scaledCount(
  value: IntOrString,
  { total, round }: { readonly total: number; readonly round: 'up' | 'down' },
): number | undefined {
  if (typeof value === 'number') return value;
  const percent = parsePercent(value);
  if (percent === undefined) return undefined;
  const exact = (percent * total) / 100;
  return round === 'up' ? Math.ceil(exact) : Math.floor(exact);
}
