/**
 * Columns that volumes and claims for volumes have in common, and how access modes are abbreviated.
 */
import type { KubeObject } from '#api/object.ts';
import type { Column } from '#api/resource.ts';
import { storageClassNameOf } from '../volumes/storage-class-name.ts';

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

interface Classified extends KubeObject {
  readonly spec?:
    | {
        readonly storageClassName?: string | undefined;
        readonly volumeAttributesClassName?: string | undefined;
        readonly volumeMode?: string | undefined;
      }
    | undefined;
}

export function classColumns<Hub extends Classified>(description: string): readonly Column<Hub>[] {
  return [
    volumeColumn<Hub>('StorageClass', description, storageClassNameOf),
    volumeColumn(
      'VolumeAttributesClass',
      'Class of its attributes.',
      ({ spec }) => spec?.volumeAttributesClassName ?? '<unset>',
    ),
  ];
}

/** Shown with `-o wide` only. */
export function volumeModeColumn<Hub extends Classified>(): Column<Hub> {
  const cell = ({ spec }: Hub): string => spec?.volumeMode ?? '<unset>';
  return { ...volumeColumn('VolumeMode', 'Filesystem or Block.', cell), priority: 1 };
}
