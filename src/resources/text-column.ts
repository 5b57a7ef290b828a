/**
 * A column of `kubectl get` that shows one text: what most columns are. Name and age, which all
 * kinds have, are in `columns.ts`.
 */
import type { KubeObject } from '#api/object.ts';
import type { Column } from '#api/resource.ts';

interface TextColumn<Hub extends KubeObject> {
  readonly name: string;
  readonly description: string;
  readonly cell: (hub: Hub, nowMs: number) => string;
  /** Only with `-o wide`. */
  readonly wide?: boolean;
}

export function textColumn<Hub extends KubeObject>({
  wide = false,
  ...column
}: TextColumn<Hub>): Column<Hub> {
  return { ...column, type: 'string', priority: wide ? 1 : 0 };
}

/** The second column of kinds that have nothing else to show. */
export function createdAtColumn<Hub extends KubeObject>(): Column<Hub> {
  return {
    name: 'Created At',
    type: 'date',
    description: 'When the object was created.',
    priority: 0,
    cell: ({ metadata }) => metadata.creationTimestamp ?? '',
  };
}
