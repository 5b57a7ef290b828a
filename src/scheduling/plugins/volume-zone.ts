/**
 * A volume that carries zone or region labels (older ones, and those of cloud provisioners) can be
 * used only on nodes with the same. Nodes without any such label are in a cluster of one zone.
 *
 * Several zones in one label are joined by two underscores.
 */
import type { PersistentVolume } from '#resources/types/core-v1.ts';
import { storageClassNameOf } from '#resources/volumes/storage-class-name.ts';
import type { Cluster } from '../cluster.ts';
import { fits, type Plugin, rejected, skip } from '../plugin.ts';
import type { PodFacts } from '../pod-facts.ts';
import { isOwnClaim } from '../volumes.ts';

const conflict = rejected('node(s) had no available volume zone', { unresolvable: true });

/** Old name → today's. */
const keys: Readonly<Record<string, string>> = {
  'failure-domain.beta.kubernetes.io/zone': 'topology.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region': 'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone': 'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region': 'topology.kubernetes.io/region',
};

interface Place {
  readonly key: string;
  readonly values: ReadonlySet<string>;
}

export const volumeZone: Plugin = {
  name: 'VolumeZone',
  filter: (pod, cluster) => {
    const found = placesOf(pod, cluster);
    if (typeof found === 'string') {
      return { do: 'reject', rejection: rejected(found, { unresolvable: true }) };
    }
    if (found.length === 0) return skip;
    const filter = {
      check: ({ labels }: { readonly labels: Readonly<Record<string, string>> }) => {
        if (!Object.keys(keys).some((key) => labels[key] !== undefined)) return fits;
        const matches = found.every(({ key, values }) =>
          values.has(labels[key] ?? labels[keys[key] ?? ''] ?? ''),
        );
        return matches ? fits : conflict;
      },
      remedies: () =>
        found.map(({ key, values }) => `use a node whose ${key} is ${[...values].join(' or ')}`),
    };
    return { do: 'ask', filter };
  },
  helps: (change, pod) => {
    if (change.what === 'nodeAdded' || change.what === 'nodeChanged') return true;
    if (change.what === 'podChanged') return true;
    if (isOwnClaim(change, pod)) return true;
    if (change.what !== 'fact' || change.action === 'Delete') return false;
    return change.kind === 'volume' || change.kind === 'storageClass';
  },
};

/** Where the volumes of the pod are, or why that cannot be told. */
function placesOf(pod: PodFacts, { facts }: Cluster): readonly Place[] | string {
  const places: Place[] = [];
  for (const { name } of pod.claims) {
    const claim = facts.persistentVolumeClaims.get(`${pod.namespace}/${name}`);
    if (claim === undefined) return `persistentvolumeclaim "${name}" not found`;
    const volumeName = claim.spec?.volumeName;
    if (!volumeName) {
      const className = storageClassNameOf(claim);
      if (className === '') return 'PersistentVolumeClaim had no pv name and storageClass name';
      const storageClass = facts.storageClasses.get(className);
      if (storageClass?.volumeBindingMode === 'WaitForFirstConsumer') continue;
      if (storageClass === undefined) return `storageclass.storage.k8s.io "${className}" not found`;
      return 'PersistentVolume had no name';
    }
    const volume = facts.persistentVolumes.get(volumeName);
    if (volume === undefined) return `persistentvolume "${volumeName}" not found`;
    places.push(...labelledPlaces(volume));
  }
  return places;
}

function labelledPlaces({ metadata }: PersistentVolume): readonly Place[] {
  return Object.keys(keys).flatMap((key) => {
    const value = metadata.labels?.[key];
    return value === undefined ? [] : [{ key, values: new Set(value.split('__')) }];
  });
}
