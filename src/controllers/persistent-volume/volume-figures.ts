/**
 * How many volumes and claims there are, bound and not: gauges that are counted when somebody asks.
 */
import type { Informer } from '#client';
import type { PersistentVolume, PersistentVolumeClaim } from '#resources/types/core-v1.ts';
import { type Figures, tally } from '../figures.ts';

/** Sorts of volumes → how upstream calls their plugins. */
const plugins: Readonly<Record<string, string>> = {
  csi: 'kubernetes.io/csi',
  fc: 'kubernetes.io/fc',
  flexVolume: 'flexvolume',
  hostPath: 'kubernetes.io/host-path',
  iscsi: 'kubernetes.io/iscsi',
  local: 'kubernetes.io/local-volume',
  nfs: 'kubernetes.io/nfs',
};

export function tellVolumes(
  figures: Figures,
  all: {
    readonly volumes: Informer<PersistentVolume>;
    readonly claims: Informer<PersistentVolumeClaim>;
  },
): void {
  const isBound = (one: PersistentVolume | PersistentVolumeClaim): boolean =>
    one.status?.phase === 'Bound';
  figures.gauge('pv_collector_total_pv_count', () =>
    tally(all.volumes.list(), ({ spec = {} }) => {
      const sort = Object.keys(plugins).find((name) => name in spec) ?? '';
      return [plugins[sort] ?? 'N/A', spec.volumeMode ?? 'Filesystem'];
    }),
  );
  for (const bound of [true, false]) {
    const what = bound ? 'bound' : 'unbound';
    figures.gauge(`pv_collector_${what}_pv_count`, () =>
      tally(all.volumes.list(), (volume) =>
        isBound(volume) === bound ? [volume.spec?.storageClassName ?? ''] : undefined,
      ),
    );
    figures.gauge(`pv_collector_${what}_pvc_count`, () =>
      tally(all.claims.list(), (claim) => {
        if (isBound(claim) !== bound) return undefined;
        const { storageClassName = '', volumeAttributesClassName = '' } = claim.spec ?? {};
        return [claim.metadata.namespace ?? '', storageClassName, volumeAttributesClassName];
      }),
    );
  }
}
