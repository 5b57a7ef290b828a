/**
 * Columns that volumes and claims for volumes have in common, and how access modes are abbreviated.
 */
import type { KubeObject } from '#api/object.ts';
import type { Column } from '#api/resource.ts';

const abbreviations = [
  ['ReadWriteOnce', 'RWO'],
  ['ReadOnlyMany', 'ROX'],
  ['ReadWriteMany', 'RWX'],
  ['ReadWriteOncePod', 'RWOP'],
] as const;

/** `RWO,RWX`, always in the same order. */
export function formatAccessModes(modes: readonly string[] | undefined): string {
  return abbreviations
    .filter(([mode]) => modes?.includes(mode) ?? false)
    .map(([, short]) => short)
    .join(',');
}

export function volumeColumn<Hub extends KubeObject>(
  name: string,
  description: string,
  cell: (hub: Hub) => string,
): Column<Hub> {
  return { name, type: 'string', description, priority: 0, cell };
}
