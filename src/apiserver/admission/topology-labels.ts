/**
 * PodTopologyLabels: a pod carries the zone and the region of the node that it is bound to, so that
 * it can read them through the downward API. What the pod said of them before is overwritten.
 */
import type { KubeObject } from '#api/object.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { Store } from '#store';
import { decodeEntry, mentions, registryRoot } from '../registry.ts';

const copied = ['topology.kubernetes.io/zone', 'topology.kubernetes.io/region'] as const;

/** Without it a node has none of them. */
const mark = Buffer.from('"topology.kubernetes.io/');

type Labels = Readonly<Record<string, string>>;

/** Of a node that is there and has such labels. */
export function topologyLabelsOf({ store }: { readonly store: Store }, nodeName: string): Labels {
  const entry = nodeName === '' ? undefined : store.get(`${registryRoot}minions/${nodeName}`);
  if (entry === undefined || !mentions(entry.value, mark)) return {};
  const { labels = {} } = decodeEntry(entry).metadata;
  const found: Record<string, string> = {};
  for (const key of copied) {
    const label = labels[key];
    if (label !== undefined) found[key] = label;
  }
  return found;
}

/** For a pod that is made with its node. */
export function addTopologyLabels(deps: { readonly store: Store }, hub: KubeObject): KubeObject {
  // The caller has checked the kind.
  const { nodeName = '' } = (hub as Pod).spec ?? {};
  const labels = topologyLabelsOf(deps, nodeName);
  if (Object.keys(labels).length === 0) return hub;
  return { ...hub, metadata: { ...hub.metadata, labels: { ...hub.metadata.labels, ...labels } } };
}
