/**
 * Which other objects a pod names: the Secrets and ConfigMaps of its containers and volumes, and
 * the first kind of object that it cannot do without the API. Mirror pods may name none, since they
 * are made by whoever can write a file on a node.
 */
import type {
  Container,
  EphemeralContainer,
  PodSpec,
  Volume,
  VolumeProjection,
} from '#resources/types/core-v1.ts';

type AnyContainer = Pick<Container | EphemeralContainer, 'name' | 'env' | 'envFrom'>;

function containersOf(spec: PodSpec): readonly AnyContainer[] {
  return [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])];
}

/** Names of Secrets, wherever the pod has them from. */
export function secretNames(spec: PodSpec): readonly string[] {
  const names = (spec.imagePullSecrets ?? []).map(({ name }) => name);
  for (const { env = [], envFrom = [] } of containersOf(spec)) {
    names.push(...envFrom.map(({ secretRef }) => secretRef?.name));
    names.push(...env.map(({ valueFrom }) => valueFrom?.secretKeyRef?.name));
  }
  for (const volume of spec.volumes ?? []) names.push(...secretNamesOfVolume(volume));
  return given(names);
}

function secretNamesOfVolume(volume: Volume): readonly (string | undefined)[] {
  const { secret, projected, azureFile, csi, cephfs, cinder, flexVolume, iscsi, rbd } = volume;
  return [
    secret?.secretName,
    ...(projected?.sources ?? []).map((source) => source.secret?.name),
    azureFile?.secretName,
    ...[csi?.nodePublishSecretRef, cephfs?.secretRef, cinder?.secretRef, flexVolume?.secretRef].map(
      (reference) => reference?.name,
    ),
    ...[
      iscsi?.secretRef,
      rbd?.secretRef,
      volume.scaleIO?.secretRef,
      volume.storageos?.secretRef,
    ].map((reference) => reference?.name),
  ];
}

/** The same of ConfigMaps. */
export function configMapNames(spec: PodSpec): readonly string[] {
  const names: (string | undefined)[] = [];
  for (const { env = [], envFrom = [] } of containersOf(spec)) {
    names.push(...envFrom.map(({ configMapRef }) => configMapRef?.name));
    names.push(...env.map(({ valueFrom }) => valueFrom?.configMapKeyRef?.name));
  }
  for (const { configMap, projected } of spec.volumes ?? []) {
    names.push(configMap?.name, ...(projected?.sources ?? []).map((one) => one.configMap?.name));
  }
  return given(names);
}

function given(names: readonly (string | undefined)[]): readonly string[] {
  return names.filter((name): name is string => name !== undefined && name !== '');
}

/** What of the API the pod names, in upstream's words; undefined: nothing. */
export function namedKind(spec: PodSpec): string | undefined {
  if ((spec.serviceAccountName ?? '') !== '') return 'serviceaccounts';
  if (secretNames(spec).length > 0) return 'secrets';
  if (configMapNames(spec).length > 0) return 'configmaps';
  if ((spec.resourceClaims ?? []).length > 0) return 'resourceclaims';
  for (const volume of spec.volumes ?? []) {
    const kind = kindOfVolume(volume);
    if (kind !== undefined) return kind;
  }
  return undefined;
}

function kindOfVolume(volume: Volume): string | undefined {
  if (volume.csi !== undefined) return 'csidrivers (via CSI volumes)';
  if (volume.glusterfs !== undefined) return 'endpoints (via glusterFS volumes)';
  if (volume.persistentVolumeClaim !== undefined) return 'persistentvolumeclaims';
  if (volume.ephemeral !== undefined) return 'persistentvolumeclaims (via ephemeral volumes)';
  if (volume.azureFile !== undefined) return 'secrets (via azureFile volumes)';
  return (volume.projected?.sources ?? []).map(kindOfProjection).find((kind) => kind !== undefined);
}

function kindOfProjection(source: VolumeProjection): string | undefined {
  if (source.serviceAccountToken !== undefined) return 'serviceaccounts (via projected volumes)';
  if (source.clusterTrustBundle !== undefined) return 'clustertrustbundles';
  return source.podCertificate === undefined ? undefined : 'podcertificates';
}
