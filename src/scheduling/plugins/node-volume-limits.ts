/**
 * A CSI driver may limit how many of its volumes a node can have attached (`CSINode`). Volumes of
 * the pods there, those still attached, and the pod's own new ones count, each once.
 */
import { storageClassNameOf } from '#resources/volumes/storage-class-name.ts';
import type { Cluster } from '../cluster.ts';
import type { NodeInfo } from '../node-info.ts';
import { fits, type NodeFilter, type Plugin, rejected, skip, type Verdict } from '../plugin.ts';
import type { PodFacts } from '../pod-facts.ts';
import { isOwnClaim } from '../volumes.ts';

const tooMany = rejected('node(s) exceed max volume count', { unresolvable: false });

export const nodeVolumeLimits: Plugin = {
  name: 'NodeVolumeLimits',
  filter: (pod, cluster) => {
    const wanted = volumesOf(pod, cluster);
    if (wanted.size === 0) return skip;
    return { do: 'ask', filter: new LimitFilter(wanted, cluster) };
  },
  helps: (change, pod) => {
    if (change.what === 'podChanged') return true;
    if (change.what === 'podGone') return change.pod.claims.length > 0 && pod.claims.length > 0;
    if (isOwnClaim(change, pod)) return true;
    return change.what === 'fact' && ['csiNode', 'volumeAttachment'].includes(change.kind);
  },
};

class LimitFilter implements NodeFilter {
  readonly #wanted: ReadonlyMap<string, string>;
  readonly #cluster: Cluster;

  constructor(wanted: ReadonlyMap<string, string>, cluster: Cluster) {
    this.#wanted = wanted;
    this.#cluster = cluster;
  }

  check(node: NodeInfo): Verdict {
    const limits = this.#limits(node);
    if (limits.size === 0) return fits;
    const attached = this.#attached(node);
    const fresh = new Map<string, number>();
    for (const [id, driver] of this.#wanted) {
      if (!attached.has(id)) fresh.set(driver, (fresh.get(driver) ?? 0) + 1);
    }
    for (const [driver, count] of fresh) {
      const limit = limits.get(driver);
      if (limit === undefined) continue;
      let there = 0;
      for (const of of attached.values()) if (of === driver) there += 1;
      if (there + count > limit) return tooMany;
    }
    return fits;
  }

  remedies(node: NodeInfo): readonly string[] {
    return [`free volumes on ${node.name}`];
  }

  #limits({ name }: NodeInfo): ReadonlyMap<string, number> {
    const limits = new Map<string, number>();
    const csiNode = this.#cluster.facts.csiNodes.get(name);
    for (const { name: driver, allocatable } of csiNode?.spec.drivers ?? []) {
      if (allocatable?.count !== undefined) limits.set(driver, allocatable.count);
    }
    return limits;
  }

  /** Volume → driver. */
  #attached(node: NodeInfo): ReadonlyMap<string, string> {
    const attached = new Map<string, string>();
    for (const pod of node.pods.values()) {
      for (const [id, driver] of volumesOf(pod, this.#cluster)) attached.set(id, driver);
    }
    const { volumeAttachments, persistentVolumes } = this.#cluster.facts;
    for (const { spec } of volumeAttachments.list()) {
      if (spec.nodeName !== node.name) continue;
      const volume = persistentVolumes.get(spec.source.persistentVolumeName ?? '');
      const handle = volume?.spec?.csi?.volumeHandle;
      if (handle !== undefined) attached.set(`${spec.attacher}/${handle}`, spec.attacher);
    }
    return attached;
  }
}

/** Volumes of CSI drivers that the pod uses, or will use when they are made; with their driver. */
function volumesOf(pod: PodFacts, { facts }: Cluster): ReadonlyMap<string, string> {
  const volumes = new Map<string, string>();
  for (const { name } of pod.claims) {
    const key = `${pod.namespace}/${name}`;
    const claim = facts.persistentVolumeClaims.get(key);
    if (claim === undefined) continue;
    const volume = facts.persistentVolumes.get(claim.spec?.volumeName ?? '');
    const csi = volume?.spec?.csi;
    if (csi !== undefined) volumes.set(`${csi.driver}/${csi.volumeHandle}`, csi.driver);
    if (volume !== undefined) continue;
    const driver = facts.storageClasses.get(storageClassNameOf(claim))?.provisioner;
    if (driver !== undefined) volumes.set(`${driver}/unbound ${key}`, driver);
  }
  return volumes;
}
