/**
 * What the columns of `kubectl get` have in common: name, age, and how durations and counts are
 * written for people.
 */
import type { KubeObject } from '#api/object.ts';
import type { Column } from '#api/resource.ts';
import { timeMs } from '#api/timestamp.ts';

export function nameColumn<Hub extends KubeObject>(): Column<Hub> {
  return {
    name: 'Name',
    type: 'string',
    format: 'name',
    description: 'Name of the object, unique for its kind within the namespace.',
    priority: 0,
    cell: (hub) => hub.metadata.name ?? '',
  };
}

export function ageColumn<Hub extends KubeObject>(): Column<Hub> {
  return timedColumn({
    name: 'Age',
    type: 'string',
    description: 'Time since the object was created.',
    priority: 0,
    at: ({ metadata }) => ageSince(metadata.creationTimestamp),
  });
}

/** A column whose cells change with time, while the object does not. */
export function timedColumn<Hub extends KubeObject>(
  column: Omit<Column<Hub>, 'cell'> & Required<Pick<Column<Hub>, 'at'>>,
): Column<Hub> {
  return { ...column, cell: (hub, nowMs) => column.at(hub)(nowMs) };
}

/** `<unknown>` without a time, else as `formatDuration`. Keeps nothing of the object. */
export function ageSince(time: string | undefined): (nowMs: number) => string {
  const sinceMs = timeMs(time);
  if (sinceMs === undefined) return unknownAge;
  return (nowMs) => formatDuration(nowMs - sinceMs);
}

function unknownAge(): string {
  return '<unknown>';
}

/** A duration in at most two units, coarser the longer it is: `5m3s`, `3h`, `2d4h`, `1y30d`. */
export function formatDuration(durationMs: number): string {
  const seconds = Math.trunc(durationMs / 1000);
  if (seconds < -1) return '<invalid>';
  if (seconds < 0) return '0s';
  if (seconds < 60 * 2) return `${seconds}s`;
  const minutes = Math.trunc(seconds / 60);
  if (minutes < 10) return withRest(minutes, 'm', seconds % 60, 's');
  if (minutes < 60 * 3) return `${minutes}m`;
  const hours = Math.trunc(minutes / 60);
  if (hours < 8) return withRest(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  const days = Math.trunc(hours / 24);
  if (hours < 24 * 8) return withRest(days, 'd', hours % 24, 'h');
  if (hours < 24 * 365 * 2) return `${days}d`;
  const years = Math.trunc(days / 365);
  if (hours < 24 * 365 * 8) return withRest(years, 'y', days % 365, 'd');
  return `${years}y`;
}

function withRest(count: number, unit: string, rest: number, restUnit: string): string {
  return rest === 0 ? `${count}${unit}` : `${count}${unit}${rest}${restUnit}`;
}
