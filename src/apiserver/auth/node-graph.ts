/**
 * Which pods run on which node, and which objects those pods refer to: what a node may read.
 *
 * Kept up to date from the watch hub, so that the authorizer answers from memory: a node sees the
 * Secrets and ConfigMaps of its own pods and no others. Rebuilt from the store when the server
 * opens.
 */
import type { KubeObject } from '#api/object.ts';
import type { Pod, PodSpec } from '#resources/types/core-v1.ts';
import { mentions } from '../registry.ts';
import type { HubEvent } from '../watch/hub-event.ts';

export type ReferenceKind =
  | 'secrets'
  | 'configmaps'
  | 'serviceaccounts'
  | 'persistentvolumeclaims'
  | 'resourceclaims'
  | 'pods';

const mirrorAnnotation = 'kubernetes.io/config.mirror';
/** In bytes, which are looked for more quickly. */
const nodeMark = Buffer.from('"nodeName":"');

interface Known {
  readonly node: string;
  readonly references: readonly string[];
}

export class NodeGraph {
  /** `namespace/name` of a pod → where it runs and what it refers to. */
  readonly #pods = new Map<string, Known>();
  /** Node → `kind/namespace/name` → how many of its pods refer to it. */
  readonly #nodes = new Map<string, Map<string, number>>();

  observe(event: HubEvent): void {
    if (event.resource.storagePrefix !== 'pods') return;
    const key = `${event.namespace}/${event.name}`;
    const { value } = event.source;
    // Most events of a busy scheduler are about pods without a node: no need to look inside.
    const next = value && mentions(value, nodeMark) ? event.next() : undefined;
    this.forget(key);
    if (next !== undefined) this.add(next);
  }

  add(object: KubeObject): void {
    // Stored pods have this shape.
    const pod = object as Pod;
    const node = pod.spec?.nodeName ?? '';
    const { namespace = '', name = '' } = object.metadata;
    if (node === '') return;
    const references = [`pods/${namespace}/${name}`];
    for (const reference of referencesOf(pod)) {
      const [kind, ...rest] = reference.split('/');
      references.push(`${kind}/${namespace}/${rest.join('/')}`);
    }
    this.#pods.set(`${namespace}/${name}`, { node, references });
    let counts = this.#nodes.get(node);
    if (counts === undefined) {
      counts = new Map();
      this.#nodes.set(node, counts);
    }
    for (const reference of references) counts.set(reference, (counts.get(reference) ?? 0) + 1);
  }

  forget(key: string): void {
    const known = this.#pods.get(key);
    if (known === undefined) return;
    this.#pods.delete(key);
    const counts = this.#nodes.get(known.node);
    if (counts === undefined) return;
    for (const reference of known.references) {
      const count = (counts.get(reference) ?? 1) - 1;
      if (count === 0) counts.delete(reference);
      else counts.set(reference, count);
    }
    if (counts.size === 0) this.#nodes.delete(known.node);
  }

  /** Whether a pod of the node is, or refers to, this object. */
  refers(node: string, kind: ReferenceKind, namespace: string, name: string): boolean {
    return this.#nodes.get(node)?.has(`${kind}/${namespace}/${name}`) === true;
  }
}

/**
 * `secrets/name`, `configmaps/name`, … that a pod needs to run. A mirror pod, which its node has
 * made, gives that node nothing.
 */
function referencesOf({ spec, status, metadata }: Pod): ReadonlySet<string> {
  const found = new Set<string>();
  if (spec === undefined || metadata.annotations?.[mirrorAnnotation] !== undefined) return found;
  found.add(`serviceaccounts/${spec.serviceAccountName ?? 'default'}`);
  for (const { name } of spec.imagePullSecrets ?? []) found.add(`secrets/${name ?? ''}`);
  for (const { resourceClaimName } of [
    ...(spec.resourceClaims ?? []),
    ...(status?.resourceClaimStatuses ?? []),
    { resourceClaimName: status?.extendedResourceClaimStatus?.resourceClaimName },
  ]) {
    if (resourceClaimName !== undefined) found.add(`resourceclaims/${resourceClaimName}`);
  }
  const containers = [
    ...(spec.initContainers ?? []),
    ...(spec.containers ?? []),
    ...(spec.ephemeralContainers ?? []),
  ];
  for (const { env = [], envFrom = [] } of containers) {
    for (const { secretRef, configMapRef } of envFrom) {
      if (secretRef !== undefined) found.add(`secrets/${secretRef.name ?? ''}`);
      if (configMapRef !== undefined) found.add(`configmaps/${configMapRef.name ?? ''}`);
    }
    for (const { valueFrom } of env) {
      const { secretKeyRef, configMapKeyRef } = valueFrom ?? {};
      if (secretKeyRef !== undefined) found.add(`secrets/${secretKeyRef.name ?? ''}`);
      if (configMapKeyRef !== undefined) found.add(`configmaps/${configMapKeyRef.name ?? ''}`);
    }
  }
  const { name = '' } = metadata;
  for (const volume of spec.volumes ?? []) addVolume(found, volume, name);
  return found;
}

function addVolume(
  found: Set<string>,
  volume: NonNullable<PodSpec['volumes']>[number],
  podName: string,
): void {
  const { secret, configMap, projected, persistentVolumeClaim, ephemeral } = volume;
  if (secret !== undefined) found.add(`secrets/${secret.secretName ?? ''}`);
  if (configMap !== undefined) found.add(`configmaps/${configMap.name ?? ''}`);
  const claim = persistentVolumeClaim?.claimName;
  if (claim !== undefined) found.add(`persistentvolumeclaims/${claim}`);
  if (ephemeral !== undefined) found.add(`persistentvolumeclaims/${podName}-${volume.name}`);
  const others = [volume.csi?.nodePublishSecretRef?.name, volume.azureFile?.secretName];
  for (const name of others) if (name !== undefined) found.add(`secrets/${name}`);
  for (const source of projected?.sources ?? []) {
    if (source.secret !== undefined) found.add(`secrets/${source.secret.name ?? ''}`);
    if (source.configMap !== undefined) found.add(`configmaps/${source.configMap.name ?? ''}`);
  }
}
