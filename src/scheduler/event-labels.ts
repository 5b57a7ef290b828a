/**
 * What upstream calls the changes that wake pods, as labels of metrics: the kind and what happened
 * to it, with what of a node or pod has changed where that is told apart.
 */
import { jsonEqual } from '#kit/json-equal.ts';
import type { Node } from '#resources/types/core-v1.ts';
import type { ClusterChange, PodFacts } from '#scheduling';

type Fact = Extract<ClusterChange, { what: 'fact' }>;

const kinds: Readonly<Record<Fact['kind'], string>> = {
  namespace: 'Namespace',
  volume: 'PersistentVolume',
  claim: 'PersistentVolumeClaim',
  storageClass: 'storage.k8s.io/StorageClass',
  csiNode: 'storage.k8s.io/CSINode',
  csiDriver: 'storage.k8s.io/CSIDriver',
  storageCapacity: 'storage.k8s.io/CSIStorageCapacity',
  volumeAttachment: 'storage.k8s.io/VolumeAttachment',
  deviceClaim: 'resource.k8s.io/ResourceClaim',
  deviceSlice: 'resource.k8s.io/ResourceSlice',
  deviceClass: 'resource.k8s.io/DeviceClass',
};

/** `pod`: as it is now, where the change is one of the waiting pod itself. */
export function eventLabel(change: ClusterChange, pod: PodFacts): string {
  switch (change.what) {
    case 'nodeAdded':
      return 'NodeAdd';
    case 'nodeGone':
      return 'NodeDelete';
    case 'nodeChanged':
      return nodeUpdateLabel(change.node, change.old) ?? 'NodeUpdate';
    case 'podPlaced':
      return 'AssignedPodAdd';
    case 'podGone':
      return 'AssignedPodDelete';
    case 'placedPodChanged': {
      const labels = !jsonEqual(change.pod.labels, change.old.labels);
      return `AssignedPod${labels ? 'UpdatePodLabel' : 'UpdatePodScaleDown'}`;
    }
    case 'podChanged':
      return `UnschedulablePod${podUpdate(pod, change.old)}`;
    case 'fact':
      return `${kinds[change.kind]}${change.action ?? 'Update'}`;
    default:
      return change satisfies never;
  }
}

/** Undefined: nothing that matters to pods; nodes are written again and again. */
export function nodeUpdateLabel(node: Node, old: Node): string | undefined {
  const differs = (of: (one: Node) => unknown): boolean => !jsonEqual(of(node), of(old));
  if (differs(({ status }) => status?.allocatable)) return 'NodeUpdateNodeAllocatable';
  if (differs(({ metadata }) => metadata.labels)) return 'NodeUpdateNodeLabel';
  if (differs(({ spec }) => [spec?.taints, spec?.unschedulable])) return 'NodeUpdateNodeTaint';
  const conditions = ({ status }: Node) =>
    status?.conditions?.map((one) => [one.type, one.status] as const);
  if (differs(conditions)) return 'NodeUpdateNodeCondition';
  if (differs(({ metadata }) => metadata.annotations)) return 'NodeUpdateNodeAnnotation';
  if (differs(({ status }) => status?.declaredFeatures)) return 'NodeUpdateNodeDeclaredFeature';
  return undefined;
}

function podUpdate({ pod, labels, tolerations }: PodFacts, old: PodFacts): string {
  if (!jsonEqual(labels, old.labels)) return 'UpdatePodLabel';
  const before = old.pod.spec?.schedulingGates ?? [];
  if (before.length > 0 && (pod.spec?.schedulingGates ?? []).length === 0) {
    return 'UpdatePodSchedulingGatesEliminated';
  }
  if (!jsonEqual(tolerations, old.tolerations)) return 'UpdatePodToleration';
  const [now, then] = [pod.status?.resourceClaimStatuses, old.pod.status?.resourceClaimStatuses];
  return jsonEqual(now, then) ? 'Update' : 'UpdatePodGeneratedResourceClaim';
}
