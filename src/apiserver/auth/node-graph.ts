/**
 * Which pods run on which node, and which objects those pods refer to: what a node may read.
 *
 * Kept up to date from the watch hub, so that the authorizer answers from memory: a node sees the
 * Secrets and ConfigMaps of its own pods and no others. Rebuilt from the store when the server
 * opens.
 */
import type { KubeObject } from '#api/object.ts';
import { isMirror } from '#resources/core/pod/mirror.ts';
import { configMapNames, secretNames } from '#resources/core/pod/references.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { mentions } from '../registry.ts';
import type { HubEvent } from '../watch/hub-event.ts';

export type ReferenceKind =
  | 'secrets'
  | 'configmaps'
  | 'serviceaccounts'
  | 'persistentvolumeclaims'
  | 'resourceclaims'
  | 'pods';

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
    const references = [`pods/${namespace}/${name}`, ...referencesOf(pod)];
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
 * `secrets/namespace/name`, `configmaps/…`, … that a pod needs to run, each once. A mirror pod,
 * which its node has made, gives that node nothing.
 */
function referencesOf(pod: Pod): ReadonlySet<string> {
  const found = new Set<string>();
  const { spec, metadata } = pod;
  if (spec === undefined || isMirror(pod)) return found;
  const add = (kind: ReferenceKind, names: readonly (string | undefined)[]): void => {
    for (const name of names) {
      if (name !== undefined) found.add(`${kind}/${metadata.namespace ?? ''}/${name}`);
    }
  };
  const claims = (spec.volumes ?? []).map(({ name, persistentVolumeClaim, ephemeral }) =>
    ephemeral === undefined ? persistentVolumeClaim?.claimName : `${metadata.name}-${name}`,
  );
  add('serviceaccounts', [spec.serviceAccountName ?? 'default']);
  add('secrets', secretNames(spec));
  add('configmaps', configMapNames(spec));
  add('persistentvolumeclaims', claims);
  add('resourceclaims', resourceClaimNames(pod));
  return found;
}

function resourceClaimNames({ spec, status }: Pod): readonly (string | undefined)[] {
  return [
    ...(spec?.resourceClaims ?? []),
    ...(status?.resourceClaimStatuses ?? []),
    { resourceClaimName: status?.extendedResourceClaimStatus?.resourceClaimName },
  ].map(({ resourceClaimName }) => resourceClaimName);
}
