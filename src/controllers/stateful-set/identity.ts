/**
 * Who a pod of a StatefulSet is: its ordinal, name, labels, host name and the claims behind its
 * volumes. Pure.
 *
 * Example: set `web` in service `nginx` with a claim template `www` and `ordinals.start: 3`. The
 * first pod is `web-3`, `web-3.nginx` in DNS, and its volume `www` is claim `www-web-3`, whichever
 * node it runs on. Behaviour: kubernetes.io, StatefulSets, "Pod Identity".
 */
import { statefulSets as setKind } from '#resources/kinds.ts';
import type { StatefulSet } from '#resources/types/apps-v1.ts';
import type { PersistentVolumeClaim, Pod, PodTemplateSpec } from '#resources/types/core-v1.ts';
import { revisionLabel } from '../controller-revision.ts';
import { podFromTemplate } from '../pod-from-template.ts';

const podNameLabel = 'statefulset.kubernetes.io/pod-name';
const podIndexLabel = 'apps.kubernetes.io/pod-index';
const ordinalMax = 2 ** 31 - 1;

export function startOf(set: StatefulSet): number {
  return set.spec?.ordinals?.start ?? 0;
}

export function wantedOf(set: StatefulSet): number {
  return set.spec?.replicas ?? 1;
}

/** Of `web-12`, 12; undefined where the name does not end in a dash and a number. */
export function ordinalOf(pod: Pod): number | undefined {
  return nameParts(pod)?.ordinal;
}

/** By its name alone. */
export function isMemberOf(set: StatefulSet, pod: Pod): boolean {
  return nameParts(pod)?.parent === set.metadata.name;
}

export function isInRange(set: StatefulSet, pod: Pod): boolean {
  const ordinal = ordinalOf(pod);
  const start = startOf(set);
  return ordinal !== undefined && ordinal >= start && ordinal < start + wantedOf(set);
}

function nameParts(pod: Pod): { readonly parent: string; readonly ordinal: number } | undefined {
  const match = /^(.*)-(\d+)$/.exec(pod.metadata.name ?? '');
  const [, parent = '', digits = ''] = match ?? [];
  const ordinal = Number(digits);
  return match === null || ordinal > ordinalMax ? undefined : { parent, ordinal };
}

export function revisionOf(pod: Pod): string {
  return pod.metadata.labels?.[revisionLabel] ?? '';
}

export function newPod(
  set: StatefulSet,
  template: PodTemplateSpec,
  { ordinal, revision }: { readonly ordinal: number; readonly revision: string },
): Pod {
  const { metadata, ...pod } = podFromTemplate(template, set, setKind);
  const name = `${set.metadata.name}-${ordinal}`;
  const made = { ...pod, metadata: { ...metadata, name } };
  const { spec, ...rest } = withStorage(set, withIdentity(made));
  const labels = { ...rest.metadata.labels, [revisionLabel]: revision };
  const subdomain = set.spec?.serviceName;
  return {
    ...rest,
    metadata: { ...rest.metadata, labels },
    spec: { containers: [], ...spec, hostname: name, ...(subdomain ? { subdomain } : {}) },
  };
}

/** Labels that say which pod it is. */
export function hasIdentity(pod: Pod): boolean {
  return pod.metadata.labels?.[podNameLabel] === pod.metadata.name;
}

export function withIdentity(pod: Pod): Pod {
  const { name = '', labels } = pod.metadata;
  const identity = { [podNameLabel]: name, [podIndexLabel]: String(ordinalOf(pod)) };
  return { ...pod, metadata: { ...pod.metadata, labels: { ...labels, ...identity } } };
}

/** Whether each claim template has its volume, with this pod's claim. */
export function hasStorage(set: StatefulSet, pod: Pod): boolean {
  const volumes = new Map(pod.spec?.volumes?.map((volume) => [volume.name, volume]));
  return claimNames(set, pod).every(
    ({ volume, claim }) => volumes.get(volume)?.persistentVolumeClaim?.claimName === claim,
  );
}

export function withStorage(set: StatefulSet, pod: Pod): Pod {
  const names = claimNames(set, pod);
  if (names.length === 0 || pod.spec === undefined) return pod;
  const claimed = new Set(names.map(({ volume }) => volume));
  const volumes = [
    ...names.map(({ volume, claim }) => ({
      name: volume,
      persistentVolumeClaim: { claimName: claim },
    })),
    ...(pod.spec.volumes ?? []).filter(({ name }) => !claimed.has(name)),
  ];
  return { ...pod, spec: { ...pod.spec, volumes } };
}

function claimNames(
  set: StatefulSet,
  pod: Pod,
): readonly { readonly volume: string; readonly claim: string }[] {
  const templates = set.spec?.volumeClaimTemplates ?? [];
  return templates.map(({ metadata: { name = '' } }) => ({
    volume: name,
    claim: `${name}-${set.metadata.name}-${ordinalOf(pod)}`,
  }));
}

/** The claims of a pod as they are made; they carry the labels of the selector. */
export function claimsOf(set: StatefulSet, pod: Pod): readonly PersistentVolumeClaim[] {
  const templates = set.spec?.volumeClaimTemplates ?? [];
  const names = claimNames(set, pod);
  return templates.map((template, index) => ({
    ...template,
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      ...template.metadata,
      name: names[index]?.claim,
      namespace: set.metadata.namespace,
      labels: { ...template.metadata.labels, ...set.spec?.selector.matchLabels },
    },
    status: undefined,
  }));
}
