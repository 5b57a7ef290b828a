/**
 * The pod that a DaemonSet puts on a node: its template, the tolerations that keep it there
 * whatever the node suffers from, and an affinity to that node's name, which leaves the scheduler
 * no choice. Pure. Behaviour: kubernetes.io, DaemonSet, "How Daemon Pods are scheduled" and
 * "Taints and tolerations".
 */
import { daemonSets as setKind } from '#resources/kinds.ts';
import type { DaemonSet } from '#resources/types/apps-v1.ts';
import type { Affinity, Pod, PodSpec, Toleration } from '#resources/types/core-v1.ts';
import { revisionLabel } from '../controller-revision.ts';
import { podFromTemplate } from '../pod-from-template.ts';

const generationLabel = 'pod-template-generation';
const generationAnnotation = 'deprecated.daemonset.template.generation';
const nodeNameField = 'metadata.name';

const tolerations: readonly Toleration[] = [
  bears('not-ready', 'NoExecute'),
  bears('unreachable', 'NoExecute'),
  bears('disk-pressure', 'NoSchedule'),
  bears('memory-pressure', 'NoSchedule'),
  bears('pid-pressure', 'NoSchedule'),
  bears('unschedulable', 'NoSchedule'),
];
const onHostNetwork = bears('network-unavailable', 'NoSchedule');

function bears(what: string, effect: string): Toleration {
  return { key: `node.kubernetes.io/${what}`, operator: 'Exists', effect };
}

/** The template's own tolerations, and what every daemon bears. */
export function tolerationsOf(set: DaemonSet): readonly Toleration[] {
  const { hostNetwork, tolerations: own = [] } = set.spec?.template?.spec ?? {};
  const added = hostNetwork ? [...tolerations, onHostNetwork] : tolerations;
  return [...own, ...added.filter((one) => !own.some((other) => isSame(one, other)))];
}

function isSame(one: Toleration, other: Toleration): boolean {
  return (
    one.key === other.key &&
    one.operator === other.operator &&
    one.effect === other.effect &&
    other.value === undefined &&
    other.tolerationSeconds === undefined
  );
}

export function newPod(set: DaemonSet, nodeName: string, hash: string): Pod {
  const { metadata, spec, ...pod } = podFromTemplate(set.spec?.template, set, setKind);
  const generation = generationOf(set);
  const labels = {
    ...metadata.labels,
    ...(generation === undefined ? {} : { [generationLabel]: generation }),
    [revisionLabel]: hash,
  };
  return {
    ...pod,
    metadata: { ...metadata, labels },
    spec: {
      containers: [],
      ...spec,
      tolerations: tolerationsOf(set),
      affinity: pinned(spec, nodeName),
    },
  };
}

/** What else the affinity requires was asked when the node was chosen. */
function pinned(spec: PodSpec | undefined, nodeName: string): Affinity {
  const { affinity } = spec ?? {};
  const matchFields = [{ key: nodeNameField, operator: 'In', values: [nodeName] }];
  return {
    ...affinity,
    nodeAffinity: {
      ...affinity?.nodeAffinity,
      requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchFields }] },
    },
  };
}

/** Where the pod is, or is meant to go; undefined for one that names no node. */
export function nodeOf({ spec }: Pod): string | undefined {
  if (spec?.nodeName) return spec.nodeName;
  const required = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  for (const { matchFields = [] } of required?.nodeSelectorTerms ?? []) {
    const field = matchFields.find(
      ({ key, operator }) => key === nodeNameField && operator === 'In',
    );
    if (field !== undefined) return field.values?.length === 1 ? field.values[0] : undefined;
  }
  return undefined;
}

/** Made from the template of now: by its hash, or by the older count of its changes. */
export function isUpdated(set: DaemonSet, pod: Pod, hash: string): boolean {
  const { labels } = pod.metadata;
  if (labels?.[revisionLabel] === hash) return true;
  const generation = generationOf(set);
  return generation !== undefined && labels?.[generationLabel] === generation;
}

function generationOf(set: DaemonSet): string | undefined {
  const text = set.metadata.annotations?.[generationAnnotation];
  return text !== undefined && /^-?\d{1,19}$/.test(text) ? text : undefined;
}
