/**
 * Volumes that only one may use: a claim with ReadWriteOncePod by one pod of the cluster, a disk
 * named in the pod itself by one pod of a node (unless all only read, where the disk allows that).
 */
import type { Volume } from '#resources/types/core-v1.ts';
import type { Cluster } from '../cluster.ts';
import type { NodeInfo } from '../node-info.ts';
import { fits, type NodeFilter, type Plugin, rejected, skip, type Verdict } from '../plugin.ts';
import type { PodFacts } from '../pod-facts.ts';
import { isOwnClaim } from '../volumes.ts';

const busyDisk = rejected('node(s) had no available disk', { unresolvable: false });
const busyClaim = rejected(
  'node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already ' +
    'in-use by another pod',
  { unresolvable: false },
);

export const volumeRestrictions: Plugin = {
  name: 'VolumeRestrictions',
  filter: (pod, cluster) => {
    const disks = disksOf(pod);
    const single: string[] = [];
    for (const { name, ephemeral } of pod.claims) {
      // A claim that is made for this pod alone: whether it is there yet is for others to say.
      if (ephemeral) continue;
      const key = `${pod.namespace}/${name}`;
      const claim = cluster.facts.persistentVolumeClaims.get(key);
      if (claim === undefined) {
        const reason = `persistentvolumeclaim "${name}" not found`;
        return { do: 'reject', rejection: rejected(reason, { unresolvable: true }) };
      }
      if (claim.spec?.accessModes?.includes('ReadWriteOncePod')) single.push(key);
    }
    if (disks.length + single.length === 0) return skip;
    return { do: 'ask', filter: new UseFilter(disks, single, cluster) };
  },
  helps: (change, pod) => {
    if (change.what === 'nodeAdded' || change.what === 'podChanged') return true;
    if (change.what === 'fact') return isOwnClaim(change, pod);
    if (change.what !== 'podGone') return false;
    const mine = new Set(pod.claims.map(({ name }) => name));
    const shared = change.pod.claims.some(({ name }) => mine.has(name));
    return (shared && change.pod.namespace === pod.namespace) || disksOf(change.pod).length > 0;
  },
};

class UseFilter implements NodeFilter {
  readonly #disks: readonly Disk[];
  readonly #single: ReadonlySet<string>;
  /** Pods that use claims that only one may use. */
  #users = 0;

  constructor(disks: readonly Disk[], single: readonly string[], cluster: Cluster) {
    this.#disks = disks;
    this.#single = new Set(single);
    for (const { claims } of single.length === 0 ? [] : cluster.nodes) {
      for (const key of single) this.#users += claims.get(key) ?? 0;
    }
  }

  check(node: NodeInfo): Verdict {
    if (this.#disks.length > 0 && this.#isTaken(node)) return busyDisk;
    return this.#users > 0 ? busyClaim : fits;
  }

  remedies(): readonly string[] {
    return this.#users > 0
      ? ['end the pod that uses its ReadWriteOncePod claim']
      : ['end the pod on the node that uses the same disk'];
  }

  podCounted(pod: PodFacts, _: NodeInfo, times: 1 | -1): void {
    for (const { name } of pod.claims) {
      if (this.#single.has(`${pod.namespace}/${name}`)) this.#users += times;
    }
  }

  #isTaken(node: NodeInfo): boolean {
    for (const pod of node.pods.values()) {
      for (const held of disksOf(pod)) {
        const clash = this.#disks.some(
          (disk) => disk.id === held.id && !(disk.shareable && disk.readOnly && held.readOnly),
        );
        if (clash) return true;
      }
    }
    return false;
  }
}

interface Disk {
  readonly id: string;
  readonly readOnly: boolean;
  /** Several may read it. */
  readonly shareable: boolean;
}

function disksOf({ pod }: PodFacts): readonly Disk[] {
  return (pod.spec?.volumes ?? []).flatMap(diskOf);
}

function diskOf(volume: Volume): readonly Disk[] {
  const { gcePersistentDisk: gce, awsElasticBlockStore: aws, iscsi, rbd } = volume;
  const disk = (id: string, readOnly: boolean | undefined, shareable = true): readonly Disk[] => [
    { id, readOnly: readOnly ?? false, shareable },
  ];
  if (gce !== undefined) return disk(`gce ${gce.pdName}`, gce.readOnly);
  if (aws !== undefined) return disk(`aws ${aws.volumeID}`, aws.readOnly, false);
  if (iscsi !== undefined) return disk(`iscsi ${iscsi.iqn}`, iscsi.readOnly);
  if (rbd === undefined) return [];
  const monitors = [...rbd.monitors].sort().join();
  return disk(`rbd ${monitors} ${rbd.pool ?? 'rbd'} ${rbd.image}`, rbd.readOnly);
}
